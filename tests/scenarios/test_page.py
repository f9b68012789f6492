"""The whole journey on the sandbox page in headless Chromium, as a person clicks it.

With XTOOL_PICTURES set to a directory, each step leaves a screenshot there.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sandbox.chromium import Page, browser, chromium_path
from tests.sandbox.run import sandbox
from tests.sandbox.world import World

SECONDS = 30.0  # a limit, not a wait

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),
    pytest.mark.skipif(chromium_path() is None, reason="Chromium is not installed"),
]


@dataclass
class Desk:
    world: World
    page: Page
    url: str

    async def command(self, text: str) -> None:
        await self.page.until("!document.querySelector('.modal')")
        await self.page.type("#command", text, enter=True)

    async def connect(self) -> None:
        await self.command("/sevdesk connect")
        await self.page.type(".modal input", self.world.token)
        await self.page.click("#submit")
        await self.page.until("document.querySelector('.modal .alert.success')", SECONDS)

    async def tagged(self, number: str, tag: str) -> None:
        row = f"document.querySelector('[data-invoice=\"{number}\"]')"
        await self.page.until(f"{row}?.textContent.includes('{tag}')", SECONDS)

    async def picture(self, name: str) -> None:
        if directory := os.environ.get("XTOOL_PICTURES"):
            await self.page.until("!document.querySelector('.busy, .updated, .changed')")
            await self.page.picture(Path(directory) / f"{name}.png")


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with sandbox() as (world, url), browser() as page:
        await page.open(url)
        await page.see("body[data-ready]")
        yield Desk(world, page, url)
        assert page.console == []  # no script error, nothing that the page's policy refused


async def test_connect_sync_failure_and_retry_end_with_the_sent_tag(desk: Desk) -> None:
    number = desk.world.seeded.rejected_invoice.number or ""
    await desk.picture("start")
    await desk.command("/sevdesk connect")
    await desk.page.type(".modal input", desk.world.token)
    await desk.picture("connect")
    await desk.page.click("#submit")
    await desk.page.until("document.querySelector('.modal .alert.success')", SECONDS)
    await desk.page.click("#cancel")
    await desk.tagged(number, "Peppol-Failed")
    retry = f'[data-action="invoice_retry"][data-value="{desk.world.seeded.rejected_invoice.id}"]'
    await desk.page.see(retry, SECONDS)
    await desk.picture("failure")
    await desk.page.click(retry)
    await desk.tagged(number, "Peppol-Sent")
    await desk.page.see(f'[data-taken="{number}"] .chip.green', SECONDS)
    card = "[...document.querySelectorAll('.message')].some(m => m.innerText.includes('delivered"
    await desk.page.until(f"{card} by Peppol') && m.innerText.includes('{number}'))", SECONDS)
    await desk.picture("sent")


async def test_sync_shows_every_tag_in_the_sevdesk_pane(desk: Desk) -> None:
    await desk.connect()
    for invoice in desk.world.seeded.unpaid[:6]:
        await desk.tagged(invoice.number or "", "Peppol-Sent")


async def test_a_wrong_token_is_explained_and_not_shown_again(desk: Desk) -> None:
    await desk.command("/sevdesk connect")
    await desk.page.type(".modal input", "0" * 32)
    await desk.page.click("#submit")
    await desk.page.see(".modal .alert.error", SECONDS)
    await desk.picture("wrong-token")
    assert await desk.page.js("document.querySelector('.modal input').value") == ""


async def test_a_guest_is_refused_politely(desk: Desk) -> None:
    await desk.page.js("location.hash = 'user=U0GUEST&channel=C0INVOICES'")
    await desk.page.until("document.querySelector('.me')?.textContent.includes('guest')")
    await desk.command("/sevdesk sync")
    await desk.page.see(".message.ephemeral", SECONDS)
    assert desk.world.sevdesk.log == []


async def test_the_home_tab_is_published(desk: Desk) -> None:
    await desk.page.click('[data-channel^="D"]')
    await desk.page.see(".home .btn", SECONDS)
    await desk.picture("home")


async def test_an_app_that_does_not_answer_is_said(desk: Desk) -> None:
    desk.world.slack.connect_app("http://127.0.0.1:9/closed")
    await desk.command("/sevdesk sync")
    await desk.page.until("document.querySelector('.toast')?.textContent.includes('failed')")


@pytest.mark.parametrize("width", [1000, 1280, 1920])
async def test_nothing_is_cut_off_at_this_width(desk: Desk, width: int) -> None:
    await desk.connect()
    await desk.page.click("#cancel")
    await desk.tagged("RE-1001", "Peppol-Sent")
    await desk.page.resize(width, 900)
    await desk.page.until("document.documentElement.scrollWidth <= innerWidth")
    wide = await desk.page.js("""[...document.querySelectorAll('.chip, .behind .btn, .head')]
        .filter(e => e.checkVisibility() && e.getBoundingClientRect().right > innerWidth).length""")
    assert wide == 0
