"""What people were not told while Slack refused the app's token: where all stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.blocks import kit
from bot.blocks.digest import Waiting, counts, waiting_blocks
from bot.blocks.kit import Card
from bot.texts import Texts, clean
from sync.model import InvoiceState


@dataclass(frozen=True, slots=True)
class Missed:
    """All that the card shows."""

    account: str
    since: datetime
    counts: Mapping[str, int]  # of all invoices, by state


def missed(t: Texts, data: Missed) -> Card:
    """One message in place of the many that were left out."""
    title = t.md("missed.title", account=clean(data.account, 80), since=t.moment(data.since))
    stands = {state: n for state, n in data.counts.items() if state != InvoiceState.WAITING.value}
    waiting = Waiting(count=data.counts.get(InvoiceState.WAITING.value, 0))
    blocks = [
        kit.section(title),
        kit.section(t.md("missed.text")),
        *counts(t, stands),
        *waiting_blocks(t, waiting),
    ]
    failed = sum(data.counts.get(s.value, 0) for s in (InvoiceState.FAILED, InvoiceState.BLOCKED))
    again = kit.button(t.plain("button.retry_all"), "invoices_retry_all") if failed else None
    show = kit.button(t.plain("button.invoices"), "invoices_list", "attention:0")
    return kit.card(title, [*blocks, kit.actions(again, show)])
