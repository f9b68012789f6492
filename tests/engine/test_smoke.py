"""The shortest way through all of it."""

from tests.engine.world import Engine, S, World, inconsistencies, record


async def test_an_invoice_is_imported_tagged_sent_and_told(world: World, engine: Engine) -> None:
    world.sevdesk.add_invoice("1")
    await engine.poll()
    await engine.work()
    found = await record(engine, "1")
    assert found.state is S.SENT
    assert world.sevdesk.kinds("1") == ["Peppol-Sent"]
    assert world.provider.accepted("RE-1") == 1
    assert await inconsistencies(engine) == []
