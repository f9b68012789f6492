"""Every text that a person reads: catalogues, numbers, amounts, dates and escaping.

The catalogues (`locales/<language>/LC_MESSAGES/bot.po`) are compiled when a language is first
used, so that nothing has to be built and no tool has to be installed. An entry is a whole
sentence with named places; nothing is glued together here.

A text is either *plain* (buttons, titles, CSV) or *mrkdwn* (sections, `text` of a message). What
fills a mrkdwn text is escaped unless it is `Mrkdwn` already, so a customer called `<!channel>`
pings nobody.
"""

from __future__ import annotations

import gettext
import io
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from babel import dates, numbers
from babel.messages import mofile, pofile

LANGUAGES = ("en", "de")
DOMAIN = "bot"
LOCALES = Path(__file__).parent / "locales"
MAX_OUTSIDE = 300  # characters of a value from outside; names and numbers are shorter

_BABEL = {"en": "en_GB", "de": "de_DE"}  # 24 hours and day before month, as people here write
_LOOKALIKES = str.maketrans({"*": "∗", "~": "∼", "`": "ˋ"})  # noqa: RUF001 - lookalikes on purpose
_LONE_UNDERSCORE = re.compile(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])")
_SPACE = re.compile(r"\s+")


class Mrkdwn(str):
    """Text that is mrkdwn already: it is not escaped again."""

    __slots__ = ()


def clean(value: object, limit: int = MAX_OUTSIDE) -> str:
    """A value from outside as one line of at most `limit` characters.

    Control characters, text direction overrides and lone surrogates are dropped: they could
    hide or reorder what stands beside them.
    """
    line = _SPACE.sub(" ", str(value)).strip()
    shown = "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    return shorten(shown, limit)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; what is cut off is shown as an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def escape(value: object, limit: int = MAX_OUTSIDE) -> Mrkdwn:
    """A value from outside for mrkdwn: no mention, link or layout survives.

    `& < >` as Slack documents it; `* ~ \\`` become lookalikes, and so does `_` where it could
    begin or end italics (within `RE_1001` it cannot, and the number stays what it is).
    """
    if isinstance(value, Mrkdwn):
        return value
    text = clean(value, limit).translate(_LOOKALIKES)
    text = _LONE_UNDERSCORE.sub("ˍ", text)
    return Mrkdwn(text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def mention(user: str) -> Mrkdwn:
    """A person. Anything that is no Slack user id is shown as text."""
    return Mrkdwn(f"<@{user}>") if re.fullmatch(r"[UW][A-Z0-9]{1,30}", user) else escape(user)


def channel_link(channel: str) -> Mrkdwn:
    """A channel, shown by Slack with the name that the reader may see."""
    if re.fullmatch(r"[CGD][A-Z0-9]{1,30}", channel):
        return Mrkdwn(f"<#{channel}>")
    return escape(channel)


def link(url: str, label: object) -> Mrkdwn:
    """A link; an address that is no plain http(s) address leaves the label alone."""
    shown = escape(label).replace("|", "¦")
    if not re.fullmatch(r"https?://[^\s<>|\"]{1,2900}", url):
        return Mrkdwn(shown)
    return Mrkdwn(f"<{url.replace('&', '&amp;')}|{shown}>")


def unmarked(text: str) -> str:
    """Mrkdwn as people hear it: for the fallback of a message."""
    bare = re.sub(r"<(?:[^<>|]*)\|([^<>]*)>", r"\1", text)
    return re.sub(r"[*]", "", bare)


@lru_cache
def catalogue(language: str) -> gettext.NullTranslations:
    """The compiled catalogue of a language; raises `FileNotFoundError` for an unknown one."""
    path = LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    with path.open("rb") as source:
        parsed = pofile.read_po(source, locale=language, abort_invalid=True)
    compiled = io.BytesIO()
    mofile.write_mo(compiled, parsed)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def language_of(locale: str) -> str:
    """The nearest language that there is for a Slack locale such as `de-DE`."""
    primary = locale.replace("_", "-").partition("-")[0].lower()
    return primary if primary in LANGUAGES else "en"


class Texts:
    """The texts of one language."""

    def __init__(self, language: str) -> None:
        """An unknown language is read as English."""
        self.language = language if language in LANGUAGES else "en"
        self._catalogue = catalogue(self.language)
        self._locale = _BABEL[self.language]

    def has(self, key: str) -> bool:
        """Whether the catalogue has a sentence for this key."""
        return self._catalogue.gettext(key) != key

    def plain(self, key: str, **values: object) -> str:
        """A text for a plain field (button, title, option, CSV)."""
        return self._fill(self._catalogue.gettext(key), {k: clean(v) for k, v in values.items()})

    def plain_n(self, key: str, n: int, **values: object) -> str:
        """As `plain`, in the form for `n`; `{n}` is the number as people write it."""
        template = self._catalogue.ngettext(key, f"{key}#", n)
        shown = {k: clean(v) for k, v in values.items()}
        return self._fill(template, shown | {"n": self.number(n)})

    def md(self, key: str, **values: object) -> Mrkdwn:
        """A mrkdwn text; the values are escaped unless they are `Mrkdwn`."""
        shown = {k: escape(v) for k, v in values.items()}
        return Mrkdwn(self._fill(self._catalogue.gettext(key), shown))

    def md_n(self, key: str, n: int, **values: object) -> Mrkdwn:
        """As `md`, in the form for `n`; `{n}` is the number as people write it."""
        template = self._catalogue.ngettext(key, f"{key}#", n)
        shown: dict[str, str] = {k: escape(v) for k, v in values.items()}
        return Mrkdwn(self._fill(template, shown | {"n": self.number(n)}))

    def number(self, value: int) -> str:
        """`1.000` or `1,000`."""
        return numbers.format_decimal(value, locale=self._locale)

    def amount(self, value: Decimal, currency: str) -> str:
        """`1.190,00 €` or `€1,190.00`. What is no amount or no currency code is shown as it is."""
        sane = value.is_finite() and abs(value) < 10**15
        if re.fullmatch(r"[A-Z]{3}", currency) and sane:
            return numbers.format_currency(value, currency, locale=self._locale)
        return clean(f"{value} {currency}", 40)

    def date(self, day: date) -> str:
        """`22.11.2026` or `22 Nov 2026`."""
        return dates.format_date(day, format="medium", locale=self._locale)

    def moment(self, at: datetime) -> Mrkdwn:
        """A time that Slack shows in the reader's own time zone; the fallback is in UTC."""
        fallback = dates.format_datetime(
            at.astimezone(UTC), format="d MMM yyyy HH:mm 'UTC'", locale=self._locale
        )
        return Mrkdwn(f"<!date^{int(at.timestamp())}^{{date_short_pretty}} {{time}}|{fallback}>")

    @staticmethod
    def _fill(template: str, values: Mapping[str, str]) -> str:
        return template.format_map(_Gaps(values)) if "{" in template else template


class _Gaps(dict[str, str]):
    """A place that nothing fills shows an ellipsis: better than no message at all."""

    def __missing__(self, key: str) -> str:
        return "…"


@lru_cache
def texts(language: str) -> Texts:
    """The texts of a language, made once."""
    return Texts(language)
