"""How soon Slack has its acknowledgement: 50 clicks at once while 100 invoices are in work.

As in production: the app runs as its own process or processes, and clicks come from outside; the
stand-ins are this process. The clicker is a third process that does nothing else, so that its
clock measures the app. Slack gives up after 3 s; the goal is 100 ms at the 99th percentile.

The baseline of the same run is a bare aiohttp server, in a process of its own too, that checks
Slack's signature and answers 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from sync.embedded import EmbeddedStore
from tests.benchmarks.figures import Figure, ratio, spread
from tests.sandbox.cii import Line
from tests.sandbox.slack import payloads
from tests.sandbox.slack.outbound import FORM
from tests.sandbox.slack.payloads import Target
from tests.sandbox.world import BOT_TOKEN, SIGNING_SECRET, World, stand_ins

INVOICES = 100
CLICKS = 50  # at once, once a second
BURSTS = 5  # before anything is in work
WAIT = 120.0  # seconds; a limit
SHAPES = {"serve": ["serve"], "web + worker": ["web", "worker"]}
LOOKS = ("invoices_list", "home_status")

type Clicker = asyncio.subprocess.Process


async def measure() -> list[Figure]:
    """All figures of this file."""
    figures = [Figure("load of the machine in the last minute", os.getloadavg()[0], "")]
    bare = await _bare()
    figures += spread("bare server: acknowledged", bare, "ms")
    for name, processes in SHAPES.items():
        figures += await _shape(name, processes, bare)
    return figures


async def _bare() -> list[float]:
    """The baseline: the same clicks at a server that does nothing but answer."""
    async with stand_ins() as world, _running_bare() as world.address, _clicking() as clicker:
        found: list[float] = []
        for _ in range(BURSTS):
            found += await _burst(world, clicker, [])
        return found


async def _shape(name: str, processes: list[str], bare: list[float]) -> list[Figure]:
    async with (
        stand_ins() as world,
        _running(world, processes) as pid,
        _clicking() as clicker,
    ):
        await _connect(world)
        looks, sends = _targets(world, *LOOKS), _targets(world, *LOOKS, "invoices_send_all")
        idle: list[float] = []
        for _ in range(BURSTS):
            idle += await _burst(world, clicker, looks)
        await world.slack.click("invoices_send_all")
        began = time.monotonic()
        busy: list[float] = []
        while _unsent(world):
            busy += await _burst(world, clicker, sends)
        ran, waited = _processor(pid)
        return [
            *spread(f"{name}: acknowledged, nothing in work", idle, "ms"),
            ratio(f"{name}: the same, as a multiple of the bare server", idle, bare),
            *spread(f"{name}: acknowledged, {INVOICES} in work", busy, "ms"),
            ratio(f"{name}: the same, as a multiple of the bare server", busy, bare),
            Figure(f"{name}: clicks while in work", len(busy), ""),
            Figure(f"{name}: {INVOICES} delivered meanwhile", time.monotonic() - began, "s"),
            Figure(
                f"{name}: time that it waited for a processor", waited / (ran + waited) * 100, "%"
            ),
        ]


# ---- the app --------------------------------------------------------------------------------


@asynccontextmanager
async def _running(world: World, processes: list[str]) -> AsyncIterator[int]:
    """`xtool …`, each in a process of its own, on one store; the id of the one that answers."""
    for _ in range(INVOICES):
        line = Line("Wartung", Decimal("1.5"), Decimal("78.50"), unit="HUR")
        world.seeded.account.add_invoice(world.seeded.hotel, [line])
    with tempfile.TemporaryDirectory(prefix="xtool-") as directory:
        store = EmbeddedStore(Path(directory))
        environment = _environment(world, directory, await store.start(), _free_port())
        running = [await _start(name, environment) for name in processes]
        try:
            world.address = f"http://127.0.0.1:{environment['PORT']}"
            await _until_ready(world.address)
            world.slack.connect_app(f"{world.address}/slack/events")
            yield running[0].pid
        finally:
            for process in running:
                process.terminate()
            for process in running:
                await process.wait()
            await store.stop()


async def _start(name: str, environment: dict[str, str]) -> asyncio.subprocess.Process:
    null = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot.cli", name, env=environment, stdout=null, stderr=null
    )


def _environment(world: World, directory: str, store: str, port: int) -> dict[str, str]:
    given = world.settings
    names = ("sevdesk_api_url", "peppol_api_url", "peppol_api_key", "peppol_api_secret")
    return {
        **{name.upper(): str(given[name]) for name in (*names, "peppol_company_id")},
        "PATH": os.environ["PATH"],
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SLACK_BOT_TOKEN": BOT_TOKEN,
        "SLACK_API_URL": world.slack.api_url,
        "PEPPOL_LOOKUP": "access-point",
        "REDIS_URL": store,
        "XTOOL_ENCRYPTION_KEYS": "0" * 43 + "=",
        "XTOOL_DATA_DIR": directory,
        "XTOOL_POLL_SECONDS": "5",
        "XTOOL_SEVDESK_RPS": "50",
        "PORT": str(port),
    }


@asynccontextmanager
async def _running_bare() -> AsyncIterator[str]:
    """Its address; it runs in a process of its own."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_clicks", str(port)
    )
    address = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(address)
        yield address
    finally:
        process.terminate()
        await process.wait()


def _serve_bare(port: int) -> None:
    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    async def event(request: web.Request) -> web.Response:
        stamp, given = (request.headers[f"X-Slack-{n}"] for n in ("Request-Timestamp", "Signature"))
        signed = b":".join((b"v0", stamp.encode(), await request.read()))
        right = "v0=" + hmac.new(SIGNING_SECRET.encode(), signed, "sha256").hexdigest()
        return web.Response(status=200 if hmac.compare_digest(right, given) else 401)

    app = web.Application()
    app.router.add_get("/readyz", ready)
    app.router.add_post("/slack/events", event)
    web.run_app(app, host="127.0.0.1", port=port, print=None)


def _processor(pid: int) -> tuple[int, int]:
    """Nanoseconds that a process ran, and that it was ready to run while others did (Linux)."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran), int(waited)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _until_ready(address: str) -> None:
    async with asyncio.timeout(WAIT), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{address}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)


async def _connect(world: World) -> None:
    """Connect; the first sync imports all and waits for somebody to say "send"."""
    slack = world.slack
    await slack.command("/sevdesk connect")
    await slack.wait_for(lambda: slack.modal("admin").callback_id == "connect", WAIT)
    await slack.submit(values={"token": world.token, "channel": slack.channel("invoices").id})
    await slack.wait_for(lambda: slack.find("invoices_send_all"), WAIT)


def _unsent(world: World) -> bool:
    """Whether one of the invoices is still on its way; none may go twice."""
    account, sender = world.seeded.account, "9930:DE136695976"
    mine = [one for one in account.invoices.values() if one.contact == world.seeded.hotel.id]
    assert all(world.access_point.count(sender, one.number or "") <= 1 for one in mine)
    todo = [one for one in mine if one.e_invoice]
    return any(account.tags_of(one) != ["xTool-Peppol-Sent"] for one in todo)


# ---- the clicks -----------------------------------------------------------------------------


def _targets(world: World, *action_ids: str) -> list[Target]:
    """Buttons as they stand in the channel now."""
    return [world.slack.find(action_id) for action_id in action_ids]


def _requests(world: World, targets: list[Target]) -> list[str]:
    """What 50 people do in one moment: look at lists, ask for the status, send."""
    slack, place, channel = world.slack, world.slack.place, world.slack.channel("invoices")
    requests = []
    for number in range(CLICKS):
        user = slack.user(("admin", "member")[number % 2])
        kind = number % (len(targets) + 1)
        if kind == len(targets):
            form = payloads.command_form(slack.core, place, user, channel, "/sevdesk", "status")
        else:
            action = payloads.action_of(slack.core, targets[kind], None)
            payload = payloads.block_actions(slack.core, place, user, targets[kind], action)
            form = {"payload": json.dumps(payload)}
        requests.append(_request(world, urlencode(form)))
    return requests


def _request(world: World, body: str) -> str:
    headers = world.slack.out.headers(body, FORM) | {"Host": "127.0.0.1"}
    headers["Content-Length"] = str(len(body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /slack/events HTTP/1.1\r\n{lines}\r\n{body}"


async def _burst(world: World, clicker: Clicker, targets: list[Target]) -> list[float]:
    """50 clicks at once, and the rest of a second; the milliseconds of each."""
    assert clicker.stdin
    assert clicker.stdout
    began = time.monotonic()
    port = int(world.address.rpartition(":")[2])
    clicker.stdin.write(json.dumps([port, _requests(world, targets)]).encode() + b"\n")
    await clicker.stdin.drain()
    found: list[float] = json.loads(await clicker.stdout.readline())
    await asyncio.sleep(max(0.0, 1 - (time.monotonic() - began)))
    return found


@asynccontextmanager
async def _clicking() -> AsyncIterator[Clicker]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.bench_clicks",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


async def _click_forever() -> None:
    """The clicker's life: a line with a port and requests in, a line with milliseconds out."""
    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, requests = json.loads(line)
        while len(connections) < len(requests):
            connections.append(await asyncio.open_connection("127.0.0.1", port))
        pairs = zip(connections, requests, strict=True)
        took = await asyncio.gather(*(_click(*pair, request) for pair, request in pairs))
        sys.stdout.write(json.dumps(took) + "\n")
        sys.stdout.flush()


async def _click(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: str) -> float:
    """Milliseconds until the answer's head; anything but 200 ends the benchmark."""
    began = time.perf_counter()
    writer.write(request.encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    took = (time.perf_counter() - began) * 1000
    if not head.startswith("HTTP/1.1 200"):
        raise RuntimeError(head.partition("\r\n")[0])
    length = next(x for x in head.splitlines() if x.lower().startswith("content-length"))
    await reader.readexactly(int(length.partition(":")[2]))
    return took


if __name__ == "__main__":
    if sys.argv[1:]:
        _serve_bare(int(sys.argv[1]))
    else:
        asyncio.run(_click_forever())
