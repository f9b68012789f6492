"""What stands in the place of a message that Slack does not take."""

from __future__ import annotations

from bot.blocks import kit
from bot.blocks.kit import Card
from bot.texts import Mrkdwn, Texts


def as_text(t: Texts, card: Card) -> Card:
    """The message in plain words, without its buttons."""
    return kit.card(card.text, [kit.section(Mrkdwn(card.text)), kit.context(t.md("unshown.text"))])


def unshown(t: Texts, about: str) -> Card:
    """A note that a message could not be shown, with nothing of that message but the numbers."""
    title = t.md("unshown.title_about", about=about) if about else t.md("unshown.title")
    return kit.card(title, [kit.section(title), kit.section(t.md("unshown.next"))])
