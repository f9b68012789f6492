"""`xtool sandbox`: the real app, the stand-ins and the page, on loopback."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.manifest import SCOPES
from sync.errors import ConfigurationError
from sync.log import configure_logging
from tests.sandbox.console import Console
from tests.sandbox.console_state import Parts
from tests.sandbox.world import World, stand_ins


@asynccontextmanager
async def sandbox(
    port: int = 0, *, locale: str = "en-GB", **given: Any
) -> AsyncIterator[tuple[World, str]]:
    """Everything runs inside; yields the world and the page's URL.

    `port` is the page's, 0 takes a free one. `locale` is the admin's in Slack, from which xTool
    guesses the organisation's language. `given` are settings by field name. Raises
    `ConfigurationError` when the port is taken.
    """
    async with stand_ins(**given) as world, world.app():
        world.slack.limit_scopes(SCOPES)
        world.slack.user("admin").locale = locale
        account = world.seeded.account
        console = Console(
            Parts(world.slack, world.sevdesk, account, world.access_point, world.token)
        )
        try:
            yield world, await _listen(console, port)
        finally:
            await console.stop()


async def _listen(console: Console, port: int) -> str:
    try:
        return await console.start(port=port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ConfigurationError(f"port {port} is taken: use `xtool sandbox --port …`") from error


def main(port: int) -> None:
    """Run until SIGINT or SIGTERM and say where the page is."""
    configure_logging()
    logging.getLogger().setLevel(logging.ERROR)  # its warnings are for real installations
    asyncio.run(_main(port))


async def _main(port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    began = time.monotonic()
    async with sandbox(port) as (world, url):
        print(_welcome(world, url, time.monotonic() - began), flush=True)  # noqa: T201 - its answer
        await stop.wait()


def _welcome(world: World, url: str, seconds: float) -> str:
    return (
        f"\n  xTool sandbox, ready in {seconds:.1f} s. Nothing leaves this machine.\n\n"
        f"  Open      {url}\n"
        f"  Type      /sevdesk connect\n"
        f"  API token {world.token}\n\n"
        "  Ctrl-C ends it; everything in it is forgotten.\n"
    )
