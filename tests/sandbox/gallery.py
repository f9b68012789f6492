"""`make gallery`: a picture of every card in both languages, the page that shows them, and the
picture of the README.

The cards come from the app's own builders, are checked against Slack's limits, and are drawn by
the sandbox page's own scripts in headless Chromium. The clock in the page stands still.

    python -m tests.sandbox.gallery              everything
    python -m tests.sandbox.gallery NAME …       only these pictures
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from bot.texts import LANGUAGES, texts
from tests.sandbox import gallery_answers, gallery_cards
from tests.sandbox import gallery_data as data
from tests.sandbox.chromium import Page, browser
from tests.sandbox.console import Console
from tests.sandbox.console_state import Parts, slack_state
from tests.sandbox.gallery_kit import Message, Picture, Shot, in_order
from tests.sandbox.png import with_palette
from tests.sandbox.run import sandbox
from tests.sandbox.slack import FakeSlack
from tests.sandbox.slack.validation import validate_message, validate_view

CARDS = (gallery_cards, gallery_answers)  # importing them adds their pictures
PICTURES = tuple(in_order())
DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = DOCS / "slack"
LIMIT = 60.0  # seconds
BEGIN, END = "<!-- gallery -->", "<!-- end of gallery -->"
LOCALES = {"en": "en-GB", "de": "de-DE"}
NAMES = {"en": "English", "de": "Deutsch"}
CLOCK = """(() => {
  const Real = Date, now = %d;
  globalThis.Date = class extends Real {
    constructor(...given) { if (given.length) super(...given); else super(now); }
    static now() { return now; }
  };
})()"""


# ---- what is shown --------------------------------------------------------------------------


def payload(shot: Shot) -> dict[str, Any]:
    """A card as `gallery.js` takes it. Raises `ValueError` for one that Slack would refuse."""
    if isinstance(shot, Message):
        content = {"text": shot.card.text, "blocks": list(shot.card.blocks)}
        problems = validate_message(content)
        extra = {"kind": "message", "ephemeral": shot.ephemeral, "ask": shot.ask}
        shown = content | extra | {"ts": str(data.NOW.timestamp()), "user": "U0XTOOL"}
    else:
        problems = validate_view(shot.content)
        shown = {"kind": shot.content["type"], "content": shot.content}
        shown["errors"] = dict(shot.errors)
    if problems:
        raise ValueError(f"Slack would refuse this: {problems}")
    return shown


def fingerprint(shot: Shot) -> str:
    """Names what is shown, so that a picture of an older card can be told."""
    return hashlib.sha256(json.dumps(payload(shot), sort_keys=True).encode()).hexdigest()[:16]


def filename(picture: Picture, language: str) -> str:
    """`failed.de.png`."""
    return f"{picture.name}.{language}.png"


# ---- the page -------------------------------------------------------------------------------


def markdown() -> str:
    """The chapters of docs/slack.md that show the cards."""
    parts = []
    for chapter, pictures in groupby(PICTURES, key=lambda picture: picture.chapter):
        parts.append(f"### {chapter.value}\n")
        parts += [_entry(picture) for picture in pictures]
    return "\n".join(parts)


def _entry(picture: Picture) -> str:
    head = " | ".join(NAMES[language] for language in LANGUAGES)
    row = " | ".join(
        f"![{picture.title}, {NAMES[language]}](slack/{filename(picture, language)})"
        for language in LANGUAGES
    )
    line = " | ".join("---" for _ in LANGUAGES)
    return f"**{picture.title}.** {picture.when}\n\n| {head} |\n| {line} |\n| {row} |\n"


def with_gallery(page: str) -> str:
    """The page with its chapters of cards brought up to date."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/slack.md must hold {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{markdown()}\n{END}{after}"


# ---- the pictures ---------------------------------------------------------------------------


class Studio:
    """The page in Chromium that shows one card at a time."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def people(self, state: dict[str, Any], language: str) -> None:
        """Who and which channels the cards mention."""
        await self._page.call("Emulation.setLocaleOverride", locale=LOCALES[language])
        given = json.dumps([state["users"], state["channels"], LOCALES[language]])
        await self._page.js(f"gallery.people(...{given})")

    async def take(self, shot: Shot) -> bytes:
        """A PNG of one card."""
        selector = await self._page.js(f"gallery.show({json.dumps(payload(shot))})")
        if self._page.console:
            raise RuntimeError(self._page.console[0])
        box = await self._page.js(f"""(() => {{
            const b = document.querySelector({json.dumps(selector)}).getBoundingClientRect();
            return {{x: Math.floor(b.x), y: Math.floor(b.y), width: Math.ceil(b.width),
                     height: Math.ceil(b.height), scale: 1}}; }})()""")
        return await small_picture(
            self._page, fingerprint(shot), clip=box, captureBeyondViewport=True
        )


async def small_picture(page: Page, source: str = "", **how: Any) -> bytes:
    """A PNG with a palette of what the page shows. It must have loaded `gallery.js`."""
    answer = await page.call("Page.captureScreenshot", format="png", **how)
    found = await page.js(f"gallery.shrink({json.dumps(answer['data'])})")
    colours, pixels = (base64.b64decode(found[key]) for key in ("colours", "pixels"))
    return with_palette(found["width"], found["height"], colours, pixels, source=source)


@asynccontextmanager
async def studio() -> AsyncIterator[Studio]:
    """Chromium on the gallery page. Raises `FileNotFoundError` when it is not installed."""
    console = Console(Parts(FakeSlack("unused", "unused")))
    url = await console.start()
    try:
        async with browser() as page:
            script = CLOCK % int(data.NOW.timestamp() * 1000)
            await page.call("Page.addScriptToEvaluateOnNewDocument", source=script)
            await page.call("Emulation.setTimezoneOverride", timezoneId="Europe/Berlin")
            await page.open(f"{url}page/gallery.html", width=760, height=1800)
            await page.until("globalThis.gallery && document.fonts.ready.then(() => true)")
            yield Studio(page)
    finally:
        await console.stop()


async def shoot(pictures: list[Picture]) -> None:
    """Take the pictures in every language into docs/slack."""
    slack = FakeSlack("unused", "unused")
    state = slack_state(slack, slack.user("admin"))
    async with studio() as camera:
        for language in LANGUAGES:
            await camera.people(state, language)
            for picture in pictures:
                png = await camera.take(picture.build(texts(language)))
                path = FOLDER / filename(picture, language)
                await asyncio.to_thread(path.write_bytes, png)


async def shoot_sandbox() -> None:
    """The picture of the README: a failure with Retry send, beside sevDesk's tags."""
    async with sandbox() as (world, url), browser() as page:
        await page.open(url, width=1440, height=900)
        await page.see("body[data-ready]")
        await page.type("#command", "/sevdesk connect", enter=True)
        await page.type(".modal input", world.token)
        await page.click("#submit")
        await page.until("document.querySelector('.modal .alert.success')", LIMIT)
        await page.click("#cancel")
        rejected = world.seeded.rejected_invoice
        await page.see(f'[data-action="invoice_retry"][data-value="{rejected.id}"]', LIMIT)
        await page.until("document.querySelectorAll('.chip.green').length >= 12", LIMIT)
        await page.until("[...document.images].every((image) => image.complete)")
        await page.until("!document.querySelector('.busy, .updated, .changed')", LIMIT)
        await page.js("import('/page/gallery.js').then(() => true)")
        picture = await small_picture(page)
    await asyncio.to_thread((DOCS / "sandbox.png").write_bytes, picture)


def tidy() -> None:
    """Remove pictures of cards that there are no more, and bring the page up to date."""
    wanted = {filename(picture, language) for picture in PICTURES for language in LANGUAGES}
    for path in FOLDER.glob("*.png"):
        if path.name not in wanted:
            path.unlink()
    page = DOCS / "slack.md"
    page.write_text(with_gallery(page.read_text("utf-8")), "utf-8")


def main(names: list[str]) -> int:
    """Take all pictures, or those named."""
    chosen = [picture for picture in PICTURES if not names or picture.name in names]
    FOLDER.mkdir(exist_ok=True)
    asyncio.run(shoot(chosen))
    if not names:
        asyncio.run(shoot_sandbox())
    tidy()
    return 0 if chosen else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
