"""From the current records to the cards that show them, and to where they stand.

Every card is rendered from what is stored now, never from an event: an event that is told twice,
late or out of order shows the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from bot.blocks import digest as digests
from bot.blocks import invoice
from bot.blocks.calling import calling
from bot.blocks.digest import Digest, Waiting, worth_telling
from bot.blocks.failure import failure
from bot.blocks.group import group
from bot.blocks.invoice import Shown
from bot.blocks.kit import Card
from bot.posting import Poster
from bot.prefs import Details, Notify, Prefs
from bot.service import Service
from bot.store import BotStore
from bot.texts import Texts, texts
from sync.model import InvoiceRecord, InvoiceState, SyncRun

SMALL_RUN = 10  # imports; in a larger sync failures share messages
SINGLES = 3  # failures of a small sync with a message of their own
TOTAL_OF = 5_000  # waiting invoices that are added up
PROGRESS_FROM = 10  # imports; a smaller sync is told when it is done


def member(record: InvoiceRecord) -> str:
    """The name of one import of an invoice; a re-export gets a card of its own."""
    return f"{record.invoice_id}:{record.generation}"


class Cards:
    """Puts the cards of an organisation where they belong."""

    def __init__(self, service: Service, store: BotStore, poster: Poster) -> None:
        self._service = service
        self._store = store
        self._poster = poster

    def shown(self, record: InvoiceRecord, prefs: Prefs) -> Shown:
        """The record with what is needed to show it."""
        url = self._service.invoice_url(record.invoice_id)
        return Shown(record, url, prefs.hide_amounts)

    def all_shown(self, records: Iterable[InvoiceRecord], prefs: Prefs) -> tuple[Shown, ...]:
        """Several."""
        return tuple(self.shown(record, prefs) for record in records)

    # ---- one invoice ------------------------------------------------------------------------

    async def put_invoice(self, org: str, record: InvoiceRecord, prefs: Prefs) -> None:
        """Show an invoice that needs a person; one that was shown before is brought up to date.

        Raises `SlackError` or `SyncError`.
        """
        place = await self.place(org, record)
        if place:
            await self.put_place(org, place, prefs)

    async def place(self, org: str, record: InvoiceRecord) -> str:
        """The card that shows the invoice, or empty: it has none and deserves none."""
        known = await self._store.placed(org, member(record))
        if known or not invoice.deserves_card(record):
            return known
        run = await self._service.run(org, record.run) if record.run else None
        small = run is None or run.to_import <= SMALL_RUN
        singles = SINGLES if small else 0
        return await self._store.place(org, member(record), record.run or "none", singles=singles)

    async def put_place(self, org: str, place: str, prefs: Prefs) -> None:
        """Show one failure, or the ten that share a message."""

        async def render() -> Card | None:
            members = [place.partition(":")[2]]
            if place.startswith("group:"):
                members = await self._store.members(org, place)
            return await self._failures(org, members, prefs)

        await self._poster.deliver(org, place, render, prefs, failure=True)

    async def _failures(self, org: str, members: list[str], prefs: Prefs) -> Card | None:
        t = texts(prefs.language)
        found = []
        for name in members:
            invoice_id, _, generation = name.rpartition(":")
            record = await self._service.invoice(org, invoice_id)
            if record and str(record.generation) == generation:
                found.append(self.shown(record, prefs))
        if not found:
            return None
        card = failure(t, found[0]) if len(members) == 1 else group(t, found)
        needed = any(invoice.needs_look(shown.record) for shown in found)
        return calling(t, card, prefs.mention if needed else ())

    # ---- one sync ---------------------------------------------------------------------------

    async def put_run(self, org: str, run_id: str, prefs: Prefs) -> None:
        """Show what a sync did, if it did something; its details stand in the thread."""
        run = await self._service.run(org, run_id)
        if run is None or not worth_telling(run):
            return
        if run.finished_at is None and run.to_import <= PROGRESS_FROM:
            return
        waits = bool(run.counts.get(InvoiceState.WAITING.value))
        quiet = prefs.notify is not Notify.ALL and not waits
        if quiet and await self._store.posted(org, f"run:{run_id}") is None:
            return

        async def render() -> Card | None:
            return await self._digest(org, run_id, prefs)

        posted = await self._poster.deliver(org, f"run:{run_id}", render, prefs, failure=False)
        if posted and posted.ts and run.finished_at:
            await self._put_details(org, run_id, prefs, posted.channel, posted.ts)

    async def _digest(self, org: str, run_id: str, prefs: Prefs) -> Card | None:
        run = await self._service.run(org, run_id)
        connection = await self._service.connection(org)
        if run is None or connection is None:
            return None
        t = texts(prefs.language)
        waiting = await self._waiting(org, run, prefs, t)
        card = digests.digest(t, Digest(run, connection.account_name, waiting))
        return calling(t, card, prefs.mention if waiting.count else ())

    async def _waiting(self, org: str, run: SyncRun, prefs: Prefs, t: Texts) -> Waiting:
        """What the buttons would send: all that waits, not only what this sync imported."""
        if run.finished_at is None or not run.counts.get(InvoiceState.WAITING.value):
            return Waiting()
        records: list[InvoiceRecord] = []
        total = 0
        while len(records) < TOTAL_OF:
            page = await self._service.invoices(org, {InvoiceState.WAITING}, len(records), 500)
            records += page.items
            total = page.total
            if not page.items or len(records) >= total:
                break
        return summarise(records, total, prefs, t, self.all_shown(records[: digests.ROWS], prefs))

    async def _put_details(
        self, org: str, run_id: str, prefs: Prefs, channel: str, ts: str
    ) -> None:
        async def render() -> Card | None:
            run = await self._service.run(org, run_id)
            records = await self._service.run_invoices(org, run_id, digests.LINES)
            if run is None or not records:
                return None
            total = max(sum(run.counts.values()), len(records))
            return digests.details(texts(prefs.language), self.all_shown(records, prefs), total)

        if prefs.details is Details.OFF:
            return
        thread = ts if prefs.details is Details.THREAD else ""
        await self._poster.put(org, f"details:{run_id}", channel, render, thread_ts=thread)


def summarise(
    records: list[InvoiceRecord],
    total: int,
    prefs: Prefs,
    t: Texts,
    rows: tuple[Shown, ...],
) -> Waiting:
    """Count, sum and oldest date of what waits; no sum over two currencies or part of it."""
    currencies = {record.currency for record in records}
    finite = all(record.gross.is_finite() for record in records)
    whole = finite and len(currencies) == 1 and len(records) >= total and not prefs.hide_amounts
    gross = sum((record.gross for record in records), Decimal(0)) if whole else Decimal(0)
    dates = [record.invoice_date for record in records if record.invoice_date]
    return Waiting(
        count=total,
        total=t.amount(gross, currencies.pop()) if whole else "",
        oldest=min(dates, default=None),
        first_sync=any(record.hold == "first_sync" for record in records),
        rows=rows,
    )
