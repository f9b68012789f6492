"""The pages of the installation: whole, escaped, in the reader's language; the support address."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import override

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import pages, support
from bot.blocks import home, status
from bot.blocks.status import Status
from bot.pages import FAILURES, Installed
from bot.prefs import Prefs
from bot.settings import BotSettings
from bot.texts import LANGUAGES, texts
from sync.errors import ConfigurationError
from sync.model import Overview
from tests.sandbox.slack.workspace import texts as all_texts
from tests.unit.bot_support import NAMES, connection

HELP = "https://help.example.com/xtool?a=1&b=2"
LANGUAGE = st.sampled_from(LANGUAGES).map(texts)
PLAIN = {"html", "head", "meta", "link", "title", "style", "body", "main", "h1", "p", "ol", "li"}


class Reader(HTMLParser):
    """The tags, links and words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(page)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name == "href" and tag == "a"]

    @override
    def handle_data(self, data: str) -> None:
        self.words += data


# ---- the language ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr-FR,fr;q=0.9,de;q=0.5,en;q=0.6", "en"),
        ("fr", "en"),
        ("en;q=0.1, de;q=0.2", "de"),
        ("de;q=0", "en"),
        ("de;q=nonsense,en;q=0.1", "en"),
        ("de;q=nan", "en"),
        ("*", "en"),
        (",,;;q==,de", "de"),
    ],
)
def test_the_language_is_the_one_that_the_browser_prefers(accept: str, language: str) -> None:
    assert pages.language(accept) == language


@given(st.text(max_size=1000))
def test_any_header_gives_a_language(accept: str) -> None:
    assert pages.language(accept) in LANGUAGES


# ---- what stands there ----------------------------------------------------------------------


@given(LANGUAGE, NAMES, NAMES, NAMES, st.booleans())
def test_whatever_is_named_stays_text(t, name, app_id, reason, grid) -> None:  # type: ignore[no-untyped-def]
    about = Installed(name, app_id, "T1", grid, f"https://{reason}.slack.com/")
    found = [
        pages.installed(t, about, reason, HELP),
        pages.failed(t, reason, "/slack/install", HELP),
        pages.install(t, f"https://slack.com/?x={reason}", HELP),
    ]
    for page in found:
        reader = Reader(page)
        assert set(reader.tags) <= PLAIN | {"a", "small"}
        assert len(reader.links) == 2
        assert all(link.startswith(("https://", "/slack/install")) for link in reader.links)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("reason", [*FAILURES, "something new"])
def test_each_failure_has_its_sentence_a_next_step_and_a_way_back(
    language: str, reason: str
) -> None:
    t = texts(language)
    reader = Reader(pages.failed(t, reason, "/slack/install", ""))
    kind = FAILURES.get(reason, "trouble")
    assert t.plain(f"page.failed.{kind}") in reader.words
    assert t.plain(f"page.next.{kind}") in reader.words
    assert reader.links == ["/slack/install"]
    assert reason in reader.words


@pytest.mark.parametrize(
    ("about", "url"),
    [
        (Installed("A", "A1", "T1"), "https://slack.com/app_redirect?app=A1&team=T1"),
        (Installed("A", "", "T1"), "https://app.slack.com/client"),
        (
            Installed("A", "A1", "", grid=True, enterprise_url="https://big.enterprise.slack.com/"),
            "https://big.enterprise.slack.com/manage/organization/apps/profile/A1/workspaces/add",
        ),
        (
            Installed("A", "A1", "", grid=True, enterprise_url="https://evil.example/"),
            "https://app.slack.com/client",
        ),
        (
            Installed("A", "A1", "T1", enterprise_url="javascript:alert(1)//x.slack.com/"),
            "https://slack.com/app_redirect?app=A1&team=T1",
        ),
    ],
)
def test_the_way_into_slack(about: Installed, url: str) -> None:
    assert pages.slack_url(about) == url


# ---- support --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("https://help.example.com/a?b=1", "https://help.example.com/a?b=1"),
        (" help@example.com ", "mailto:help@example.com"),
        ("mailto:help@example.com", "mailto:help@example.com"),
    ],
)
def test_a_support_address_is_a_page_or_a_mail_address(given_: str, kept: str) -> None:
    assert support.support_url(given_) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "http://help.example.com",
        "javascript:alert(1)",
        "help",
        "a@b",
        "https://",
        "https://user:password@example.com",
        "https://example.com/<!channel>",
        "https://example.com/a|b",
        "mailto:a@example.com?cc=b@example.com",
        "https://example.com/" + "a" * 500,
    ],
)
def test_a_wrong_support_address_stops_the_start(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="XTOOL_SUPPORT_URL"):
        BotSettings.load(
            slack_signing_secret="s", slack_bot_token="xoxb-1", xtool_support_url=wrong
        )


@pytest.mark.parametrize("address", ["https://help.example.com/x", "mailto:help@example.com"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_help_home_and_pages_name_the_support(language: str, address: str) -> None:
    t = texts(language)
    said = f"<{address}|{support.label(address)}>"
    for found in (connection(), None):
        data = Status(Overview(connection=found), Prefs())
        view = home.home(t, data, manages=True, tag="xTool", support_at=address)
        assert said in "\n".join(all_texts(view["blocks"]))
    assert said in "\n".join(all_texts(list(status.usage(t, support_at=address).blocks)))
    assert address in Reader(pages.failed(t, "x", "/slack/install", address)).links


def test_without_an_address_help_names_who_runs_it() -> None:
    t = texts("en")
    assert t.md("help.support") in "\n".join(all_texts(list(status.usage(t).blocks)))
