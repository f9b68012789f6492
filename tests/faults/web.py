"""Real web processes beside the workers, asked by people in a stand-in of Slack."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from urllib.parse import urlsplit

from pydantic import SecretStr

from bot.installations import Installed, ManyWorkspaces
from tests.faults.line import Line
from tests.faults.processes import Worker
from tests.faults.world import World
from tests.sandbox.slack import FakeSlack

SIGNING_SECRET = "fault-tests-signing-secret"
BOT_TOKEN = "xoxb-fault-tests"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Webs:
    """Some web processes behind one Slack; requests go to them in turn."""

    def __init__(
        self, world: World, count: int, *, on_line: bool = False, oauth: bool = False
    ) -> None:
        """Not started yet. `on_line`: the app reaches Slack through `line` only.

        `oauth`: its token is not a setting, but in the store, where `install` puts it.
        """
        self._world = world
        self._oauth = oauth
        self._on_line = on_line
        self.line = Line(0)
        self.slack = FakeSlack(SIGNING_SECRET, BOT_TOKEN)
        self._ports = [free_port() for _ in range(count)]
        self.workers: list[Worker] = []
        self.answered = 0
        self.late: list[str] = []  # on two cores with ten processes an answer may be late

    async def __aenter__(self) -> Self:
        """Start Slack and the processes."""
        await self.slack.start()
        if self._on_line:
            await self._put_line()
        for number in range(len(self._ports)):
            self.workers.append(self.start_web(number))
        await self.until_ready()
        return self

    def add_port(self) -> None:
        """One more, of which the process is started later."""
        self._ports.append(free_port())

    def start_web(self, number: int, trap: str = "") -> Worker:
        """The n-th web process, or another in its place."""
        settings = self.settings(self._ports[number])
        return self._world.start(trap, slack=settings, web=True, work=False)

    async def until_ready(self, *more: Worker) -> None:
        """All web processes listen."""
        webs = (*self.workers, *more)
        await self._world.until(lambda: all(w.logged("ready") for w in webs), 30, "webs listen")

    async def install(self) -> None:
        """The app is in the workspace: what an installation by OAuth leaves in the store."""
        rt, core = self._world.rt, self.slack.core
        installed = Installed(
            org=core.team_id,
            secret=SecretStr(BOT_TOKEN),
            team_id=core.team_id,
            bot_id=core.bot_id,
            bot_user_id=core.bot_user,
            installer="U0ADMIN",
            at=time.time(),
        )
        await ManyWorkspaces(rt.clients, rt.vault).save(installed)

    async def __aexit__(self, *_: object) -> None:
        """Stop Slack; the processes end with the world."""
        await self.line.stop()
        await self.slack.stop()

    async def _put_line(self) -> None:
        """Between the app and Slack: its API and the addresses that answers are posted to."""
        port = urlsplit(self.slack.core.api_root).port
        assert port is not None
        self.line = Line(port)
        await self.line.start()
        self.slack.core.api_root = f"http://127.0.0.1:{self.line.port}"

    def settings(self, port: int = 0) -> dict[str, str | int]:
        """The bot's settings of one process."""
        client = {"slack_client_id": "111.222", "slack_client_secret": "not used here"}
        return {
            "slack_signing_secret": SIGNING_SECRET,
            **(client if self._oauth else {"slack_bot_token": BOT_TOKEN}),
            "slack_api_url": self.slack.api_url,
            "port": port,
        }

    def turn_to(self, number: int) -> None:
        """What people do from now on reaches the n-th web process."""
        self.slack.connect_app(f"http://127.0.0.1:{self._ports[number]}/slack/events")

    @asynccontextmanager
    async def asked_all_the_time(self) -> AsyncIterator[None]:
        """People ask for the status, one process after the other, while the block runs."""
        asking = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            asking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asking

    async def _ask(self) -> None:
        while True:
            for number in range(len(self._ports)):
                self.turn_to(number)
                delivery = await self.slack.command("/sevdesk status")
                if (delivery.status, delivery.error) == (200, ""):
                    self.answered += 1
                else:
                    self.late.append(delivery.error or str(delivery.status))
            await asyncio.sleep(0.5)
