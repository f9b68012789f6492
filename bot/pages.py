"""The pages that a browser shows while the app is installed. Pure: texts in, HTML out.

Everything that is filled in is escaped, nothing is loaded from anywhere, and no script runs.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import quote

from bot import support
from bot.texts import LANGUAGES, Texts, clean

STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; padding: 8vh 1.25rem; background: #f4f5f7; color: #1d1c1d;
  font: 17px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 34rem; margin: 0 auto; padding: 2rem 2.25rem; background: #fff;
  border-radius: 12px; box-shadow: 0 1px 4px #0002; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; line-height: 1.25; }
ol { padding-left: 1.4rem; } li { margin: .4rem 0; }
a.go { display: inline-block; margin: 1rem 0 .25rem; padding: .65rem 1.25rem; border-radius: 8px;
  background: #0b3d5c; color: #fff; font-weight: 600; text-decoration: none; }
a.go:focus-visible { outline: 3px solid #5aa9d6; outline-offset: 2px; }
small { display: block; margin-top: 1.5rem; color: #616061; font-size: .85rem; }
@media (prefers-color-scheme: dark) {
  body { background: #121316; color: #e8e8e8; } main { background: #1d1f24; }
  a { color: #7cc0ea; } a.go { background: #2b7fb0; color: #fff; } small { color: #a5a5a8; }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # the address of the page holds a code
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}
_GRID = re.compile(r"https://[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63}){0,3}\.slack\.com/")
# Why an installation ended: Slack's words and Bolt's, and the sentence of ours.
FAILURES: Final = {
    "access_denied": "denied",
    "invalid_browser": "browser",
    "invalid_state": "expired",
    "missing_code": "expired",
    "invalid_code": "expired",
    "storage_error": "trouble",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """What the page after an installation names."""

    workspace: str
    app_id: str = ""
    team_id: str = ""
    grid: bool = False  # a whole Enterprise Grid organisation
    enterprise_url: str = ""  # its address


def language(accept: str) -> str:
    """The first language of ours in an `Accept-Language` header by its weight, else English."""
    found = []
    for place, part in enumerate(accept[:500].split(",")):
        tag, _, weight = part.partition(";")
        primary = tag.strip().partition("-")[0].lower()
        if primary in LANGUAGES:
            found.append((-_weight(weight), place, primary))
    wanted = [entry for entry in sorted(found) if entry[0] < 0]
    return wanted[0][2] if wanted else "en"


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    try:
        weight = float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def install(t: Texts, url: str, support_at: str) -> str:
    """Before: what xTool does and asks for. `url` is Slack's consent page."""
    body = [
        _paragraph(t.plain("page.install.what")),
        _paragraph(t.plain("page.install.then")),
        _button(t.plain("page.install.go"), url),
    ]
    return _document(t, t.plain("page.install.title"), body, support_at)


def installed(t: Texts, about: Installed, tag: str, support_at: str) -> str:
    """After: what happens next, and the way into Slack."""
    steps = [t.plain(f"page.installed.{step}", tag=tag) for step in ("direct", "token", "tag")]
    if about.grid:
        steps.insert(0, t.plain("page.installed.grid"))
    body = [
        _paragraph(t.plain("page.installed.next")),
        _steps(steps),
        _button(t.plain("page.installed.open"), slack_url(about)),
    ]
    name = clean(about.workspace, 80)
    title = t.plain("page.installed.title_in", workspace=name) if name else ""
    return _document(t, title or t.plain("page.installed.title"), body, support_at)


def slack_url(about: Installed) -> str:
    """Into the app's own conversation, whichever way the person uses Slack."""
    grid = _GRID.match(about.enterprise_url)
    app, team = (quote(clean(given, 60), safe="") for given in (about.app_id, about.team_id))
    if app and grid:
        return f"{grid.group()}manage/organization/apps/profile/{app}/workspaces/add"
    if not app or not team:
        return "https://app.slack.com/client"
    return f"https://slack.com/app_redirect?app={app}&team={team}"


def failed(t: Texts, reason: str, again: str, support_at: str) -> str:
    """It did not work: why, and what to do. `again` is the path of the first page."""
    kind = FAILURES.get(reason, "trouble")
    body = [_paragraph(t.plain(f"page.failed.{kind}")), _paragraph(t.plain(f"page.next.{kind}"))]
    body.append(_button(t.plain("page.failed.again"), again))
    body.append(f"<small>{escape(t.plain('page.failed.code', code=clean(reason, 60)))}</small>")
    return _document(t, t.plain("page.failed.title"), body, support_at)


def _document(t: Texts, title: str, body: Sequence[str], support_at: str) -> str:
    return (
        f'<!doctype html>\n<html lang="{t.language}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="robots" content="noindex">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n"
        + "\n".join([*body, *_support(t, support_at)])
        + "\n</main>\n</body>\n</html>\n"
    )


def _support(t: Texts, url: str) -> list[str]:
    if not url:
        return []
    shown = f'<a href="{escape(url)}">{escape(support.label(url))}</a>'
    return [f"<small>{escape(t.plain('page.support'))} {shown}</small>"]


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _steps(texts: Sequence[str]) -> str:
    return "<ol>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ol>"


def _button(label: str, url: str) -> str:
    return f'<p><a class="go" href="{escape(url)}">{escape(label)}</a></p>'
