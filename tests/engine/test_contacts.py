"""What is remembered of a contact is as it was; people change contacts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sync.model import InvoiceState
from sync.source import CONTACT_AGE, CONTACT_AGE_ASKED
from tests.engine.world import ME, Engine, World, record


async def test_a_person_that_joined_a_synced_organisation_is_found_by_a_sync_on_demand(
    world: World, engine: Engine
) -> None:
    """A poll asks for each contact once, so it would never notice."""
    world.sevdesk.add_contact("p1", tagged=False)
    world.sevdesk.add_invoice("1", "p1")
    await engine.poll()
    world.sevdesk.contacts["p1"] = replace(world.sevdesk.contacts["p1"], parent_id="c1")
    world.clock.forward(CONTACT_AGE_ASKED)
    run = await engine.poll(trigger=ME)
    assert run is not None
    assert run.imported == 1


async def test_a_contact_that_was_corrected_is_read_again_for_an_invoice_of_another_day(
    world: World, engine: Engine
) -> None:
    """Else the invoice could go to whom the old number belongs."""
    account = world.sevdesk
    account.contacts["c1"] = replace(account.contacts["c1"], vat_number="DE136695976")
    account.add_invoice("1")
    await engine.poll()
    await engine.work()
    account.contacts["c1"] = replace(account.contacts["c1"], vat_number="DE123456788")
    world.clock.forward(CONTACT_AGE + timedelta(minutes=1))
    account.add_invoice("2")
    await engine.poll()
    await engine.work()
    assert (await record(engine, "2")).state is InvoiceState.SENT
    asked = [order.vat_number for order in engine.preparer.orders]
    assert asked == ["DE136695976", "DE123456788"]
    assert account.calls["contact"] == 2
