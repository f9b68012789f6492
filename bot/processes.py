"""The processes: web, worker, or both in one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiohttp import web

from bot.app import Bot
from bot.callbacks import PeppolEndpoint
from bot.settings import BotSettings
from bot.slack import CardRefusedError, SlackError
from sync.callbacks import Callbacks
from sync.jobs import Notify, register, workers_alive, working
from sync.log import register_secrets
from sync.runtime import Runtime, open_runtime
from sync.settings import Settings

log = structlog.get_logger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
WEB_GRACE = 5.0  # seconds for requests that are being answered when the process is to end


async def run(
    settings: Settings,
    bot_settings: BotSettings,
    *,
    with_web: bool,
    with_worker: bool,
    ready: asyncio.Future[str] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Run until SIGTERM or SIGINT, or until `stop` is set; `ready` gets the web address.

    Raises `ConfigurationError` and `StoreError` when it cannot begin.
    """
    register_secrets(
        bot_settings.slack_signing_secret,
        bot_settings.slack_bot_token,
        bot_settings.slack_client_secret,
    )
    stop = stop or _on_signals()
    async with open_runtime(settings) as runtime, AsyncExitStack() as stack:
        bot = _bot(runtime, bot_settings)
        stack.push_async_callback(bot.aclose)
        register(runtime.docket, runtime.ports, told_later(bot.notify), told_later(bot.tick))
        address = ""
        if with_worker:
            await stack.enter_async_context(_worker(runtime))
        if with_web:
            address = await stack.enter_async_context(_listening(_web(runtime, bot), bot_settings))
        log.info("ready", web=address or None, worker=with_worker)
        if ready is not None:
            ready.set_result(address)
        await stop.wait()
        log.info("stopping")
        runtime.stopping.ask()
        bot.end()


def told_later(tell: Notify) -> Notify:
    """`tell`, for which Slack being away is no failure: the sweep calls it again.

    One line instead of a traceback for each organisation and try.
    """

    async def told(org: str) -> None:
        try:
            await tell(org)
        except CardRefusedError as error:
            log.warning("slack does not take a card, it is told later", org=org, code=error.code)
        except SlackError as error:
            log.warning("slack is away, it is told later", org=org, code=error.code)

    return told


def _bot(runtime: Runtime, settings: BotSettings) -> Bot:
    tag = runtime.settings.tag
    now = runtime.ports.now
    return Bot(settings, runtime.service, runtime.clients, runtime.vault, tag=tag, now=now)


def _web(runtime: Runtime, bot: Bot) -> web.Application:
    async def store() -> bool:
        return bool(await runtime.clients.redis.execute_command("PING"))

    async def worker() -> bool:
        return await workers_alive(runtime.ports) > 0

    app = bot.build_app({"store": store, "worker": worker})
    callbacks = Callbacks(runtime.ports, runtime.settings.peppol_webhook_secret)
    app.add_routes(PeppolEndpoint(callbacks).routes())
    return app


def _on_signals() -> asyncio.Event:
    """An event that is set by the first signal; a second one, of either, kills the process.

    What is then under way is settled by the next process, as after every kill. The exit status is
    the signal's: 143 in a shell after SIGTERM, 130 after Ctrl-C.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)  # Python's own for SIGINT waits for tasks

    for number in SIGNALS:
        loop.add_signal_handler(number, asked)
    return stop


@asynccontextmanager
async def _worker(runtime: Runtime) -> AsyncIterator[None]:
    rules = await runtime.documents.start()
    log.info("rules", release=rules)
    async with working(runtime.docket, runtime.ports):
        yield


@asynccontextmanager
async def _listening(app: web.Application, settings: BotSettings) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=WEB_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
