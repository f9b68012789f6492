"""What changes under the hands of a running step: its connection, its organisation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from sync.model import ConnectionState
from sync.store.keys import Keys
from sync.store.organisation import erase_again
from tests.engine.crash import Crash, Process
from tests.engine.sevdesk import during
from tests.engine.world import ME, ORG, Engine, S, World, connection, record

SECOND = timedelta(seconds=1)


# ---- another connection -------------------------------------------------------------------


async def test_a_poll_of_the_replaced_account_does_not_count_as_the_first_of_the_new_one(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = world.add_account("200", "new-token")
    new.add_contact("n1")
    for i in range(20):
        new.add_invoice(f"n{i}", "n1")
    world.sevdesk.add_invoice("1")
    during(monkeypatch, "xml", lambda: engine.service.connect(ORG, "new-token", ME))
    await engine.poll()
    assert (await connection(engine)).last_sync is None
    await world.run_for(engine, minutes=6)
    assert world.provider.requests.keys() <= {"RE-1"}, "sent before a person said so"


async def test_a_poll_that_begins_while_the_account_is_replaced_reads_one_account_only(
    world: World, engine: Engine
) -> None:
    new = world.add_account("200", "new-token")
    new.add_contact("n1")
    new.add_invoice("n7", "n1")
    opened = engine.ports.sevdesk

    async def replaced_first(org: str) -> Any:
        engine.ports.sevdesk = opened
        world.clock.forward(SECOND)
        await engine.service.connect(ORG, "new-token", ME)
        return await opened(org)

    engine.ports.sevdesk = replaced_first
    await engine.poll()
    await world.run_for(engine, minutes=11)
    found = await record(engine, "n7")
    assert (found.account, found.state) == ("200", S.SENT)


async def test_a_refusal_of_the_old_token_does_not_break_the_new_connection(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts["fresh-token"] = world.sevdesk
    account = world.sevdesk

    async def renew_the_token() -> None:
        account.token = "fresh-token"
        await engine.service.connect(ORG, "fresh-token", ME)

    during(monkeypatch, "tag_relations", renew_the_token)
    await engine.poll()
    assert account.foreign_tokens, "the poll went on with the old token"
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_a_refusal_of_the_old_token_by_a_delivery_does_not_break_the_new_connection(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.accounts["fresh-token"] = account = world.sevdesk
    account.add_invoice("1")
    await engine.poll()
    process = engine.process

    async def renew_the_token(point: str) -> None:
        if point == "sevdesk add_tag":
            process.before = None
            world.clock.forward(SECOND)
            account.token = "fresh-token"
            await engine.service.connect(ORG, "fresh-token", ME)

    process.before = renew_the_token
    await engine.work()
    assert account.foreign_tokens, "the tag was written with the old token"
    assert (await connection(engine)).state is ConnectionState.ACTIVE


async def test_lost_tags_of_the_replaced_account_do_not_hold_the_new_one(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.add_account("200", "new-token").add_contact("n1")
    account = world.sevdesk
    for i in range(5):
        account.add_invoice(f"{i}")
    await world.run_for(engine, minutes=16)
    account.delete_tag("xTool-Peppol-Sent")
    during(monkeypatch, "tag_relations", lambda: engine.service.connect(ORG, "new-token", ME))
    await engine.poll()
    found = await connection(engine)
    assert (found.account, found.state) == ("200", ConnectionState.ACTIVE)


# ---- erased while somebody works ----------------------------------------------------------


async def left_over(engine: Engine) -> set[str]:
    redis: Any = engine.ports.clients.redis
    found = {key async for key in redis.scan_iter(match=f"{Keys(ORG).prefix}*".replace("[", "\\["))}
    return {key for key in found if not key.endswith((":durable", ":pace", ":breaker"))}


async def sweeps(world: World, engine: Engine, **time: float) -> None:
    world.clock.forward(timedelta(**time))
    await erase_again(engine.ports.clients, engine.ports.now())


@pytest.mark.parametrize("call", ["contact", "xml", "invoice"])
async def test_a_delivery_that_outlives_the_erasing_leaves_no_key(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    world.sevdesk.add_contact("c2", parent="c1")
    world.sevdesk.add_invoice("1", "c2", xml=b"broken")
    await engine.poll()
    await engine.work()
    await engine.ports.clients.redis.delete(Keys(ORG).contacts)
    await engine.service.retry(ORG, "1", ME)
    during(monkeypatch, call, lambda: engine.service.erase(ORG))
    await engine.work()
    await sweeps(world, engine, minutes=2)
    assert await left_over(engine) == set()


@pytest.mark.parametrize("call", ["tag_relations", "invoices", "contact", "xml"])
async def test_a_poll_that_outlives_the_erasing_leaves_no_key(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    monkeypatch.setattr("sync.store.organisation.ERASE_WAIT", timedelta(seconds=0.05))
    world.sevdesk.embed_names = False
    world.sevdesk.add_contact("c2", parent="c1")
    world.sevdesk.add_contact("c3", parent="c1", tagged=False)
    world.sevdesk.add_invoice("1", "c2", xml=b"ok")
    world.sevdesk.add_invoice("2", "c2", xml=None)
    world.sevdesk.add_invoice("3", "c3", xml=b"ok")
    during(monkeypatch, call, lambda: engine.service.erase(ORG))
    await engine.poll()
    await sweeps(world, engine, minutes=2)
    assert await left_over(engine) == set()


async def test_what_is_written_minutes_after_the_erasing_goes_as_well(
    world: World, engine: Engine
) -> None:
    await engine.service.erase(ORG)
    await sweeps(world, engine, minutes=2)
    await engine.ports.organisation(ORG).put_document("a" * 64, b"an invoice")
    await sweeps(world, engine, minutes=15)
    assert await left_over(engine) == set()


async def test_an_organisation_that_comes_back_keeps_what_it_stores(
    world: World, engine: Engine
) -> None:
    await engine.service.erase(ORG)
    world.clock.forward(SECOND)
    await engine.service.connect(ORG, "good-token", ME)
    world.sevdesk.add_invoice("1")
    await sweeps(world, engine, minutes=2)
    await world.run_for(engine, minutes=21)
    await sweeps(world, engine, minutes=15)
    assert (await record(engine, "1")).state is S.SENT


@pytest.mark.parametrize("point", range(1, 8))
async def test_an_erasing_that_died_is_ended_by_another_process(
    world: World, engine: Engine, point: int
) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    world.clock.forward(SECOND)
    dying = world.engine(Process(point))
    with pytest.raises(Crash):
        await dying.service.erase(ORG)
    begun = point > 1
    await world.after_a_crash()
    await sweeps(world, engine, minutes=2)
    assert (await left_over(engine) == set()) is begun


# ---- nothing grows for ever ---------------------------------------------------------------


async def test_a_change_of_an_old_invoice_does_not_bring_its_sync_back_for_ever(
    world: World, engine: Engine
) -> None:
    world.sevdesk.add_invoice("1", xml=b"broken")
    await engine.poll()
    await engine.work()
    redis: Any = engine.ports.clients.redis
    run = (await record(engine, "1")).run
    keys = (Keys(ORG).run_counts(run), Keys(ORG).run_invoices(run))
    await redis.delete(Keys(ORG).run(run), *keys)  # ninety days later
    await engine.service.retry(ORG, "1", ME)
    for key in keys:
        assert await redis.ttl(key) != -1, f"{key} stays for ever"
