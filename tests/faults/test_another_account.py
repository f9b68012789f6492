"""The operator moves to another phoss-ap while an attempt is unconfirmed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.model import InvoiceState
from tests.faults.processes import Launcher
from tests.faults.world import Tenant, World, open_world, register_receivers
from tests.sandbox.access_points import Fault, PhossApStandIn

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


async def is_asked_about(world: World, tenant: Tenant, invoice_id: str) -> bool:
    """Whether a person was told that nobody knows."""
    record = (await world.records(tenant))[invoice_id]
    return record.state is InvoiceState.UNCONFIRMED and record.overdue


async def test_another_installation_is_not_believed_that_nothing_was_sent(
    launcher: Launcher, tmp_path: Path
) -> None:
    """It says "absent" of everything that the first one took; a person is asked."""
    second = PhossApStandIn()
    async with open_world(tmp_path, launcher, "phoss-ap") as world:
        await second.start()
        register_receivers(second)
        try:
            tenant = await world.connect()
            await world.finish_first_sync(tenant)
            (invoice,) = tenant.add()
            world.access_point.inject(Fault.LOST_ANSWER)
            first = world.start("kill:before:find")
            await world.until(lambda: not first.alive, 30, "the attempt is to be settled")
            world.settings = {**world.settings, "peppol_api_url": second.url}
            world.start()
            await world.until(
                lambda: is_asked_about(world, tenant, invoice.id), 30, "a person is asked"
            )
            assert second.taken == []
            assert world.accepted(invoice) == 1
            await world.until_quiet()
            await world.check_promises()
        finally:
            await world.kill_all()
            await second.stop()
