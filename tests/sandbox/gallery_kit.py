"""What the gallery is made of: pictures, each a builder of a message or a view."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bot.blocks import kit
from bot.blocks.invoice import Shown
from bot.blocks.kit import Block, Card
from bot.texts import Mrkdwn, Texts
from sync.model import InvoiceRecord
from tests.sandbox import gallery_data as data


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `ephemeral`: one person sees it. `ask`: the button whose question is shown."""

    card: Card
    ephemeral: bool = False
    ask: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A modal or the Home tab, as `content["type"]` says; `errors` stand beside fields."""

    content: Block
    errors: tuple[tuple[str, str], ...] = ()


type Shot = Message | View


class Chapter(StrEnum):
    """The chapters of the gallery, in their order."""

    FIRST = "The first minute"
    RESULTS = "Results"
    FAILURES = "Failures"
    CONNECTION = "The connection"
    ANSWERS = "Answers to commands"
    REFUSALS = "Polite refusals and trouble"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the gallery. `name` is its file's, `when` the line in the documentation."""

    chapter: Chapter
    name: str
    title: str
    when: str
    build: Callable[[Texts], Shot]


_PICTURES: list[Picture] = []


def picture(
    chapter: Chapter, title: str, when: str
) -> Callable[[Callable[[Texts], Shot]], Callable[[Texts], Shot]]:
    """Adds a builder to the gallery, under its function's name."""

    def add(build: Callable[[Texts], Shot]) -> Callable[[Texts], Shot]:
        name = build.__name__.replace("_", "-")
        _PICTURES.append(Picture(chapter, name, title, when, build))
        return build

    return add


def in_order() -> list[Picture]:
    """All pictures that were added, by chapter."""
    chapters = list(Chapter)
    return sorted(_PICTURES, key=lambda one: chapters.index(one.chapter))


def only_you(t: Texts, text: Mrkdwn) -> Message:
    """A sentence to one person."""
    return Message(kit.card(text, [kit.section(text)]), ephemeral=True)


def shown(records: Sequence[InvoiceRecord]) -> tuple[Shown, ...]:
    """Invoices with their links."""
    return tuple(data.shown(one) for one in records)
