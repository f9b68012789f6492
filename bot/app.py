"""Composition of the Slack side: one `Bot` per process, for the web app, the notifier or both."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime

from aiohttp import web
from slack_bolt.async_app import AsyncApp, AsyncBoltContext
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot import listeners
from bot.announce import Announcer
from bot.cards import Cards
from bot.deps import Deps
from bot.hearing import Hearing
from bot.installations import ManyWorkspaces, OneWorkspace, Workspaces
from bot.notifier import Notifier
from bot.oauth import Installing
from bot.people import People
from bot.posting import Poster, utc_now
from bot.replies import Replies
from bot.service import Service
from bot.settings import BotSettings
from bot.slack import SlackClients
from bot.store import BotStore
from bot.tasks import Tasks
from bot.web import MAX_BODY, Check, Health, Signature, SlackEndpoint, routes
from sync.store.redis import Clients
from sync.vault import Vault

BOLT_LOGGERS = ("slack_bolt", "slack_sdk")


class Bot:
    """Everything of the Slack side that one process needs."""

    def __init__(
        self,
        settings: BotSettings,
        service: Service,
        clients: Clients,
        vault: Vault,
        *,
        tag: str = "xTool",
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Connects nowhere yet. `tag`: sevDesk's contact tag; `now`: the time by the store."""
        self._settings = settings
        self._clients = clients
        slack = SlackClients(settings.slack_api_url)
        store = BotStore(clients)
        self._many = ManyWorkspaces(clients, vault) if settings.oauth else None
        workspaces = self._many or OneWorkspace(slack, _bot_token(settings))
        poster = Poster(slack, workspaces, store, now)
        cards = Cards(service, store, poster)
        announcer = Announcer(service, store, poster, tag)
        self.deps = Deps(
            service=service,
            store=store,
            workspaces=workspaces,
            slack=slack,
            people=People(slack),
            poster=poster,
            cards=cards,
            announcer=announcer,
            replies=Replies(slack),
            tasks=Tasks(),
            tag=tag,
            support_at=settings.xtool_support_url or "",
        )
        self.hearing = Hearing(service, store, poster, announcer, workspaces=workspaces, now=now)
        self.notifier = Notifier(service, store, cards, announcer, self.hearing)

    async def notify(self, org: str) -> None:
        """What `sync` calls in the worker soon after it wrote events."""
        await self.notifier.notify(org)

    async def tick(self, org: str, now: datetime | None = None) -> None:
        """To be called for each organisation about once a minute in the worker."""
        await self.notifier.tick(org, now)

    def end(self) -> None:
        """The process is to end: nothing new is told, what is being told is finished."""
        self.notifier.end()

    async def aclose(self) -> None:
        """Finish what runs, then close the connections to Slack."""
        await self.deps.tasks.drain()
        await self.deps.slack.aclose()

    def build_app(self, checks: Mapping[str, Check] | None = None) -> web.Application:
        """The web application; `checks` is what `/readyz` asks, by name.

        Serve it without an access log, or with one that leaves out the query: the OAuth redirect
        carries a code. At shutdown it waits up to 25 s for what runs.
        """
        app = web.Application(client_max_size=MAX_BODY)
        secret = self._settings.slack_signing_secret.get_secret_value()
        endpoint = SlackEndpoint(bolt_app(self.deps, secret), Signature(secret))
        app.add_routes(
            routes(endpoint, Health(checks or {}, self.deps.tasks, self.hearing.measure))
        )
        if self._many is not None:
            app.add_routes(self._installing(self._many).routes())
        app.on_shutdown.append(self._drain)
        app.cleanup_ctx.append(self._lifetime)
        return app

    async def _drain(self, _app: web.Application) -> None:
        await self.deps.tasks.drain()

    async def _lifetime(self, _app: web.Application) -> AsyncIterator[None]:
        self.deps.tasks.spawn(self._introduce(), "whose token")
        yield
        await self.deps.slack.aclose()

    async def _introduce(self) -> None:
        """Ask Slack whose token it is before somebody waits for the answer.

        It may be a new one in place of one that was revoked: then nothing need wait longer.
        """
        if isinstance(self.deps.workspaces, OneWorkspace):
            installed = await self.deps.workspaces.of_request(None, None, False)
            if installed is not None:
                await self.hearing.heard(installed.org)

    def _installing(self, many: ManyWorkspaces) -> Installing:
        secret = self._settings.slack_client_secret
        return Installing(
            self.deps.slack,
            self._clients,
            many,
            client_id=self._settings.slack_client_id or "",
            client_secret=secret.get_secret_value() if secret else "",
            store=self.deps.store,
            people=self.deps.people,
            announcer=self.deps.announcer,
            tasks=self.deps.tasks,
            tag=self.deps.tag,
            support_at=self.deps.support_at,
        )


def _bot_token(settings: BotSettings) -> str:
    token = settings.slack_bot_token
    return token.get_secret_value() if token else ""


def bolt_app(deps: Deps, signing_secret: str) -> AsyncApp:
    """Bolt with all listeners; it verifies signatures itself a second time."""
    quiet_bolt()  # before: Bolt gives its loggers the level of the one that it is given
    app = AsyncApp(
        name="xtool",
        logger=logging.getLogger("slack_bolt"),
        signing_secret=signing_secret,
        client=AsyncWebClient(base_url=deps.slack.base_url, retry_handlers=[]),
        authorize=authorizer(deps.workspaces),  # type: ignore[arg-type]  # None is allowed
        user_facing_authorize_error_message=(
            "xTool is not installed in your workspace, or Slack or its own database could not be "
            "asked just now. Please try again in a minute, or ask an admin to install xTool."
        ),
    )
    listeners.register(app, deps)
    return app


def authorizer(workspaces: Workspaces) -> Callable[..., Awaitable[AuthorizeResult | None]]:
    """From a request to the installation it belongs to, without any call of Slack."""

    async def authorize(
        context: AsyncBoltContext, enterprise_id: str | None, team_id: str | None
    ) -> AuthorizeResult | None:
        grid = context.is_enterprise_install is True
        installed = await workspaces.of_request(enterprise_id, team_id, grid)
        if installed is None:
            return None
        context["installed"] = installed
        return AuthorizeResult(
            enterprise_id=installed.enterprise_id or None,
            team_id=installed.team_id or None,
            bot_token=installed.token,
            bot_id=installed.bot_id or None,
            bot_user_id=installed.bot_user_id or None,
        )

    return authorize


def quiet_bolt() -> None:
    """Bolt logs whole requests, a typed token included: at INFO when a signature is wrong, at
    WARNING when no listener matches, and slack_sdk at DEBUG."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(BOLT_LOGGERS)]
    for name in {*names, *BOLT_LOGGERS, "slack_bolt.AsyncRequestVerification", "xtool"}:
        logging.getLogger(name).setLevel(logging.ERROR)
