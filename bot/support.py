"""Where people get help: an address that the operator sets, or nobody is named."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from bot.texts import Mrkdwn, Texts, escape, link

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}")


def support_url(text: str) -> str:
    """An https address, or a mail address with or without `mailto:`. Raises `ValueError`."""
    given = text.strip()
    mail = given.removeprefix("mailto:")
    if _MAIL.fullmatch(mail):
        return f"mailto:{mail}"
    parts = urlsplit(given)
    plain = given.isascii() and given.isprintable() and not re.search(r"[\s<>|\"'`\\]", given)
    if parts.scheme != "https" or not parts.hostname or not plain or parts.username is not None:
        raise ValueError("must be an address that begins with https://, or a mail address")
    if len(given) > 500:
        raise ValueError("must have at most 500 characters")
    return given


def label(url: str) -> str:
    """What people read instead of the whole address."""
    return url.removeprefix("mailto:").removeprefix("https://").rstrip("/")


def line(t: Texts, url: str) -> Mrkdwn:
    """Whom to ask, for the end of a card."""
    if not url:
        return t.md("help.support")
    return t.md("help.support_at", support=_link(url))


def _link(url: str) -> Mrkdwn:
    if url.startswith("mailto:"):
        return Mrkdwn(f"<{url}|{escape(label(url))}>")
    return link(url, label(url))
