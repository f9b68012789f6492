"""Calling the chosen people by name on a new message that needs somebody."""

from __future__ import annotations

from collections.abc import Sequence

from bot.blocks import kit
from bot.blocks.kit import Card
from bot.texts import Mrkdwn, Texts, mention


def calling(t: Texts, card: Card, people: Sequence[str]) -> Card:
    """The card with the names in front, or as it is where nobody is to be called.

    Slack notifies whoever is named when a message is posted, not when it is edited.
    """
    if not people:
        return card
    who = t.md("mention.line", who=Mrkdwn(" ".join(mention(user) for user in people)))
    return kit.card(f"{who} {card.text}", [kit.context(who), *card.blocks], card.about)
