from __future__ import annotations

from sync.store.redis import Clients


async def test_smoke(clients: Clients) -> None:
    await clients.exact.set("{a}:k", "v")
    assert await clients.redis.get("{a}:k") == "v"
    assert await clients.blobs.get("{a}:k") == b"v"
    assert (await clients.durability()).risks == ()
    assert await clients.waitaof("{a}:k")
