"""A process for the tests: starts or adopts the store, counts itself, waits for its end.

Arguments: the data directory, and optionally `orphan` to start a server that outlives it.
Prints one line: the server's process id, whether this process started it, the counter.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import sync.embedded
from sync.embedded import EmbeddedStore
from sync.store.redis import Clients


async def main(directory: str, *flags: str) -> None:
    """Run until stdin is closed."""
    if "orphan" in flags:  # as on a system without PR_SET_PDEATHSIG
        sync.embedded._die_with = lambda parent: None
    async with EmbeddedStore(Path(directory)) as url:
        clients = Clients(url)
        count = await clients.exact.incr("starts")
        server = (await clients.redis.info("server"))["process_id"]
        print(server, count, flush=True)  # noqa: T201 - its answer to the test
        await asyncio.to_thread(sys.stdin.read)
        await clients.aclose()


asyncio.run(main(*sys.argv[1:]))
