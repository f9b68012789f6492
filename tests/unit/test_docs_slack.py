"""docs/slack.md shows every card, and says of rights and commands what the code says."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from bot.blocks.status import COMMANDS
from bot.manifest import SCOPES
from bot.texts import LANGUAGES, texts
from tests.sandbox.gallery import DOCS, PICTURES, filename, fingerprint, payload, with_gallery
from tests.sandbox.gallery_kit import Picture
from tests.sandbox.png import source_of

PAGE = DOCS / "slack.md"
README = DOCS.parent / "README.md"
MOST_BYTES = 60_000


def names() -> list[str]:
    return [filename(picture, language) for picture in PICTURES for language in LANGUAGES]


def test_the_page_has_every_card_with_its_line_and_its_pictures() -> None:
    page = PAGE.read_text("utf-8")
    assert with_gallery(page) == page, "run `make gallery`"


def test_there_is_no_picture_without_a_card() -> None:
    assert {path.name for path in (DOCS / "slack").glob("*.png")} == set(names())


@pytest.mark.parametrize("name", names())
def test_a_picture_is_small_and_can_be_read(name: str) -> None:
    content = (DOCS / "slack" / name).read_bytes()
    width, height = struct.unpack(">II", content[16:24])
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert 300 <= width <= 720
    assert 40 <= height <= 1800
    assert len(content) <= MOST_BYTES


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
@pytest.mark.parametrize("language", LANGUAGES)
def test_slack_takes_every_card_of_the_gallery(picture: Picture, language: str) -> None:
    assert payload(picture.build(texts(language)))["kind"] in ("message", "modal", "home")


@pytest.mark.browser  # who can take pictures is told when they are out of date
@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_picture_shows_the_card_as_it_is(picture: Picture, language: str) -> None:
    taken = (DOCS / "slack" / filename(picture, language)).read_bytes()
    assert source_of(taken) == fingerprint(picture.build(texts(language))), "run `make gallery`"


def test_no_two_pictures_share_a_name() -> None:
    assert len(set(names())) == len(names())


@pytest.mark.parametrize("path", [PAGE, README], ids=["docs/slack.md", "README"])
def test_every_right_of_the_app_is_given_with_its_reason(path: Path) -> None:
    rows = dict(re.findall(r"^\| `([a-z:.]+)` \| (.+) \|$", path.read_text("utf-8"), re.MULTILINE))
    assert {name: rows.get(name) for name in SCOPES} == SCOPES


def test_every_command_is_in_the_table() -> None:
    table = PAGE.read_text("utf-8").partition("## Commands")[2].partition("## ")[0]
    shown = set(re.findall(r"^\| `/sevdesk ([a-z]+)", table, re.MULTILINE))
    assert shown == set(COMMANDS)
