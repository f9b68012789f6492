"""Many things that go wrong in one running app, seen from outside: Slack, sevDesk, access point.

A `Cause` says how a thing is made to happen to one invoice of its own customer, and the documents'
table (or the test) what is to come of it. `play` makes all of a provider's causes happen in one
world, notes what came of each, puts everything right, and notes the end. Tests read the notes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from stdnum import ean

from bot import notifier
from sync import delivery, runtime
from sync.delivery import Step
from sync.embedded import EmbeddedStore
from sync.model import InvoiceRecord, InvoiceState, ParticipantId
from sync.peppol import doctypes, naptr
from sync.settings import Provider
from sync.store.records import Records
from sync.store.redis import Clients
from tests.sandbox.access_points import Taken
from tests.sandbox.access_points.network import ZONE
from tests.sandbox.seed import SENDER
from tests.sandbox.sevdesk import Contact, Invoice, SevdeskAccount
from tests.sandbox.slack.workspace import Message
from tests.sandbox.world import World, stand_ins
from tests.scenarios.test_journey import connect

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "documents.md"
ORG = "T0LINDHOF"  # the workspace of the stand-in
BATCH = 3  # invoices of one sync; more failures than this share a message
SETTLE_SECONDS = 180.0  # limits, not waits: each wait ends with what it waits for
ASK_SECONDS = 0.3
LOOK_SECONDS = 0.25  # all scenes are looked at in the loop that the app runs in
TELL_SECONDS = 2.0  # in place of an hour, after which a person is told
SUBMIT_SECONDS = 2.5  # in place of thirty
BUTTONS = {"no": "invoice_retry", "asks": "invoice_send_again"}  # what a person presses then
UPLOADED, FAILED, SENT = "Uploaded", "Peppol-Failed", "Peppol-Sent"
NOTHING = "–"  # noqa: RUF001 - as the table has it


@dataclass(frozen=True, slots=True)
class Expected:
    """What is to come of a cause, as a row of the documents' table has it."""

    state: str  # of the record; NOTHING: there is none
    tag: str  # without its prefix; NOTHING: no tag
    by_itself: str  # yes, no, goes on, asks, after a change
    says: str = NOTHING  # parts of the sentence in Slack, with … between them
    to_do: str = NOTHING

    @property
    def words(self) -> list[str]:
        """All that must be read in Slack."""
        parts = f"{self.says} … {self.to_do}".split("…")
        return [part.strip() for part in parts if part.strip() not in ("", NOTHING)]


def documented() -> dict[str, Expected]:
    """The rows of the table "What happens when …"."""
    section = DOCUMENT.read_text("utf-8").partition("\n## What happens when …\n")[2]
    rows = re.findall(r"^\|(.+)\|$", section.partition("\n## ")[0], re.MULTILINE)[2:]
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows]
    return {row[0]: Expected(*row[1:]) for row in cells}


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that happens to one invoice."""

    what: str
    happen: Callable[[Scene], None] = lambda _: None
    provider: Provider = "recommand"
    later: Callable[[Scene], bool] = lambda _: True  # tried until it says that it was done
    taken: int = 0  # accepted before it went wrong, so that a second one is right
    outage: bool = False  # of the access point for everybody
    slow: bool = False  # an attempt's deadline must pass, so it begins first
    expected: Expected | None = None  # else the documents' table says it


@dataclass(frozen=True, slots=True)
class Note:
    """What there is to see of one invoice at one moment."""

    record: InvoiceRecord | None
    tags: tuple[str, ...]
    text: str  # of the message about it, else its line in the list of the sync
    buttons: frozenset[str]
    accepted: int  # by the access point

    @property
    def state(self) -> str:
        """As the documents' table names it."""
        return self.record.state.value if self.record else NOTHING

    @property
    def tag(self) -> str:
        """The one tag without its prefix."""
        return ", ".join(tag.removeprefix("xTool-") for tag in self.tags) or NOTHING

    @property
    def step(self) -> Step | None:
        """What xTool will do about it by itself, however late."""
        far = datetime.now(UTC) + timedelta(days=1000)
        return delivery.next_step(self.record, far) if self.record else None

    def lacks(self, expected: Expected) -> list[str]:
        """What is not as expected."""
        found = [f"state {self.state}"] if self.state != expected.state else []
        found += [f"tag {self.tag}"] if self.tag != expected.tag else []
        if (button := BUTTONS.get(expected.by_itself)) and button not in self.buttons:
            found.append(f"no button {button}")
        said = self.text.replace("*", "")  # bold is no word
        return found + [f"no {words!r}" for words in expected.words if words not in said]


@dataclass
class Scene:
    """One cause in one world."""

    cause: Cause
    expected: Expected
    world: World
    number: int
    contact: Contact = field(init=False)
    invoice: Invoice = field(init=False)  # once it has begun
    neighbour: Invoice | None = None  # a healthy invoice of the same sync
    told: Note | None = None
    ended: Note | None = None
    neighbour_state: str = ""

    def __post_init__(self) -> None:
        """A customer of its own."""
        self.contact = self.account.add_contact(
            f"Kunde {self.number} GmbH", tagged="xTool", buyer_reference="Bestellung 77"
        )
        self.account.add_custom_field(self.contact, "Peppol ID", self.receiver)

    def begin(self) -> None:
        """An invoice to somebody who can be reached, and then what happens to it."""
        self.invoice = self.account.add_invoice(self.contact)
        self.register()
        self.cause.happen(self)

    @property
    def account(self) -> SevdeskAccount:
        """The company's."""
        return self.world.seeded.account

    @property
    def receiver(self) -> str:
        """A GLN with a right check digit."""
        gln = f"4099998{self.number:05d}"
        return f"0088:{gln}{ean.calc_check_digit(gln)}"

    @property
    def participant(self) -> ParticipantId:
        """The same as an id."""
        return ParticipantId.parse(self.receiver)

    @property
    def taken(self) -> list[Taken]:
        """What the access point accepted for this receiver."""
        return [one for one in self.world.access_point.taken if one.receiver == self.receiver]

    def register(self, *listed: Any, **behaviour: Any) -> None:
        """On the network, as an ordinary receiver unless something else is given."""
        types = listed or (doctypes.BIS_INVOICE, doctypes.BIS_CREDIT_NOTE)
        self.world.register(self.receiver, *types, **behaviour)

    def forget(self) -> None:
        """Take the receiver off the network."""
        self.world.access_point.receivers.pop(self.receiver, None)
        if self.world.network is not None:
            name = naptr.host(self.participant, ZONE) + "."
            self.world.network.names.records.pop((name, "NAPTR"))

    def heal(self) -> None:
        """Everything about this invoice and its receiver is right now."""
        self.register()
        if self.world.network is not None:
            self.world.network.names.calm(self.participant)
            self.world.network.publisher.troubled.clear()
        self.account.edit(self.invoice, flaws=frozenset(), xml=None, xml_error=None, e_invoice=True)


Happen = Callable[[Scene], None]


def receiver(*listed: Any, **behaviour: Any) -> Happen:
    """The receiver, or sending to it, is like this."""
    return lambda scene: scene.register(*listed, **behaviour)


class Stage:
    """The scenes of one provider, one after the other."""

    def __init__(self, world: World, records: Records, scenes: Sequence[Scene]) -> None:
        self._world = world
        self._records = records
        self.scenes = sorted(scenes, key=lambda one: not one.cause.slow)
        self._asked = 0.0

    async def play(self) -> None:
        """All that happens, and what comes of it; then all is put right."""
        usual = [scene for scene in self.scenes if not scene.cause.outage]
        for start in range(0, len(usual), BATCH):
            await self.enter(usual[start : start + BATCH])
        await self.tell(usual)
        outages = [scene for scene in self.scenes if scene.cause.outage]
        if outages:
            await self._world.access_point.stop()
            await self.enter(outages)
            await self.tell(outages)
            await self._world.access_point.start(self._world.access_point.port)
        await self.put_right()

    async def enter(self, scenes: Sequence[Scene]) -> None:
        """Invoices for these scenes and a healthy one, imported by one sync."""
        neighbour = self._world.seeded.account.add_invoice(self._world.seeded.hotel)
        for scene in scenes:
            scene.begin()
            scene.neighbour = neighbour
        await self._until(lambda: self._synced(neighbour))

    async def _synced(self, invoice: Invoice) -> bool:
        """Whether the invoice was imported; asks for a sync, which one under way makes wait."""
        if time.monotonic() > self._asked + ASK_SECONDS:
            self._asked = time.monotonic()
            await self._world.slack.command("/sevdesk sync")
        return await self._records.get(invoice.id) is not None

    async def tell(self, scenes: Sequence[Scene]) -> None:
        """Note what came of each, as soon as it is what was expected, else when time is up."""

        async def all_as_expected() -> bool:
            for scene in scenes:
                if scene.told is None or scene.told.lacks(scene.expected):
                    scene.told = await self.look(scene) if scene.cause.later(scene) else None
            return all(s.told and not s.told.lacks(s.expected) for s in scenes)

        await self._until(all_as_expected, LOOK_SECONDS)
        await self._see_neighbours(one for one in scenes if not one.cause.outage)

    async def _see_neighbours(self, scenes: Iterable[Scene]) -> None:
        for scene in scenes:
            record = await self._records.get(scene.neighbour.id) if scene.neighbour else None
            scene.neighbour_state = record.state.value if record else NOTHING

    async def put_right(self) -> None:
        """Heal all, click where a person must, and note the end."""
        for scene in self.scenes:
            await self._put_right(scene)
        await self._until(self._all_ended, LOOK_SECONDS)
        await self._see_neighbours(one for one in self.scenes if one.cause.outage)

    async def _put_right(self, scene: Scene) -> None:
        if scene.expected.state == InvoiceState.SENT.value:
            return
        scene.heal()
        action = BUTTONS.get(scene.expected.by_itself)
        if action and scene.told and action in scene.told.buttons:
            await self._world.slack.click(action, value=scene.invoice.id)

    async def _all_ended(self) -> bool:
        for scene in self.scenes:
            if scene.ended is None or scene.ended.tag != SENT:
                scene.ended = await self.look(scene)
        return all(scene.ended and scene.ended.tag == SENT for scene in self.scenes)

    async def look(self, scene: Scene) -> Note:
        """Record, tags, Slack and access point, of one invoice, now."""
        message = self._message(scene.invoice)
        return Note(
            record=await self._records.get(scene.invoice.id),
            tags=tuple(scene.account.tags_of(scene.invoice)),
            text=self._text(message, scene.invoice),
            buttons=frozenset(_buttons(message, scene.invoice.id)),
            accepted=len(scene.taken),
        )

    def _message(self, invoice: Invoice) -> Message | None:
        """The newest message of its own, else the one that lists it."""
        number = invoice.number or ""
        everywhere = self._world.slack.messages("invoices")
        found = [m for m in everywhere if number in m.all_text]
        own = [m for m in found if not m.is_reply]
        newest = (own or found)[-1:]
        return newest[0] if newest else None

    def _text(self, message: Message | None, invoice: Invoice) -> str:
        if message is None or not message.is_reply:
            return message.all_text if message else ""
        lines = message.all_text.splitlines()
        return "\n".join(line for line in lines if (invoice.number or "") in line)

    async def _until(self, condition: Callable[[], Any], every: float = 0.05) -> None:
        """Wait for a condition; when time is up the tests say what is missing."""
        limit = time.monotonic() + SETTLE_SECONDS
        while not await condition() and time.monotonic() < limit:  # noqa: ASYNC110 - several stand-ins
            await asyncio.sleep(every)


def _buttons(message: Message | None, invoice_id: str) -> list[str]:
    blocks = message.blocks if message else []
    elements = [one for block in blocks for one in block.get("elements", [])]
    return [one.get("action_id", "") for one in elements if one.get("value") == invoice_id]


async def play(
    provider: Provider, causes: Sequence[Cause], expected: dict[str, Expected]
) -> dict[str, Scene]:
    """Make all of a provider's causes happen; the scenes by what happened."""
    with ExitStack() as shortened:
        for target, name, value in (
            (runtime, "SUBMIT_SECONDS", SUBMIT_SECONDS),
            (delivery, "MAX_BACKOFF", timedelta(seconds=1)),
            (notifier, "FIRST_PAUSE", 0.1),
            (notifier, "LONGEST_PAUSE", 0.5),
        ):
            shortened.enter_context(mock.patch.object(target, name, value))
        told = timedelta(seconds=TELL_SECONDS)
        soon = {InvoiceState.IMPORTED: told, InvoiceState.READY: told}
        shortened.enter_context(mock.patch.dict(delivery.TELL_AFTER, soon))
        return await _play(provider, causes, expected)


async def _play(
    provider: Provider, causes: Sequence[Cause], expected: dict[str, Expected]
) -> dict[str, Scene]:
    on_network = provider != "e-invoice-be"
    settings = {"poll_seconds": 2, "retry_seconds": 0.2, "peppol_sender_id": SENDER}
    async with stand_ins(provider, network=on_network, **settings) as world, world.app():
        world.access_point.slow_seconds = SUBMIT_SECONDS + 0.5
        world.access_point.retry_after = 1
        clients = Clients(EmbeddedStore(world.settings["data_dir"]).url)
        try:
            scenes = [
                Scene(cause, cause.expected or expected[cause.what], world, number)
                for number, cause in enumerate(causes, start=1)
            ]
            world.slack.user("admin").locale = "en-GB"  # the language is guessed from it
            await connect(world)
            await world.until(lambda: _first_is_sent(world), SETTLE_SECONDS)
            await Stage(world, Records(clients, ORG), scenes).play()
        finally:
            await clients.aclose()
    return {scene.cause.what: scene for scene in scenes}


def _first_is_sent(world: World) -> bool:
    return world.seeded.account.tags_of(world.seeded.unpaid[0]) == ["xTool-Peppol-Sent"]
