"""`GET /slack/install` and `GET /slack/oauth_redirect`: the app in many workspaces.

Bolt's flow, mounted by hand, because the app authorises requests by a function of its own. Its
state cookie is `Secure`, so a browser needs https.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import override
from urllib.parse import urlsplit

import structlog
from aiohttp import ClientError, web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.error import BoltError
from slack_bolt.oauth.async_callback_options import (
    AsyncCallbackOptions,
    AsyncFailureArgs,
    AsyncSuccessArgs,
)
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.errors import SlackClientError

from bot import pages
from bot.announce import Announcer
from bot.installations import InstallationStore, ManyWorkspaces, StateStore
from bot.manifest import INSTALL_PATH, REDIRECT_PATH, SCOPES
from bot.orgs import org_key
from bot.people import People
from bot.slack import SlackClients, SlackError
from bot.store import BotStore
from bot.tasks import Tasks
from bot.texts import Texts, language_of, texts
from sync.errors import SyncError
from sync.store.redis import Clients

log = structlog.get_logger(__name__)


def authorize_url(api_url: str) -> str:
    """Slack's consent page, on the same host as its API."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc}/oauth/v2/authorize"


class Flow(AsyncOAuthFlow):
    """Bolt's flow with a first page of ours."""

    support_at = ""

    @override
    async def build_install_page_html(self, url: str, request: AsyncBoltRequest) -> str:
        return pages.install(_texts(request.headers), url, self.support_at)


def _texts(headers: Mapping[str, Sequence[str]]) -> Texts:
    """In the language that the browser asks for. Bolt gives each header as a list."""
    return texts(pages.language(",".join(headers.get("accept-language", ()))))


class Installing:
    """The two routes, and the welcome for who installed the app."""

    def __init__(
        self,
        slack: SlackClients,
        clients: Clients,
        workspaces: ManyWorkspaces,
        *,
        client_id: str,
        client_secret: str,
        store: BotStore,
        people: People,
        announcer: Announcer,
        tasks: Tasks,
        tag: str = "xTool",
        support_at: str = "",
    ) -> None:
        """`tag` is the name of the contact tag, `support_at` where people get help."""
        self._tag = tag
        self._support_at = support_at
        self._slack = slack
        self._store = store
        self._people = people
        self._announcer = announcer
        self._tasks = tasks
        self._workspaces = workspaces
        self._settings = AsyncOAuthSettings(
            client_id=client_id,
            client_secret=client_secret,
            scopes=list(SCOPES),
            install_path=INSTALL_PATH,
            redirect_uri_path=REDIRECT_PATH,
            authorization_url=authorize_url(slack.base_url),
            installation_store=InstallationStore(workspaces),
            state_store=StateStore(clients),
            callback_options=AsyncCallbackOptions(success=self._success, failure=self._failure),
        )
        self._flow: Flow | None = None

    def routes(self) -> list[web.RouteDef]:
        """To be added to the web app."""
        return [web.get(INSTALL_PATH, self._handle), web.get(REDIRECT_PATH, self._handle)]

    def _flow_now(self) -> Flow:
        """Made when first used: its client needs the running event loop."""
        if self._flow is None:
            self._flow = Flow(client=self._slack.web(), settings=self._settings)
            self._flow.support_at = self._support_at
        return self._flow

    async def _handle(self, request: web.Request) -> web.Response:
        response = await self._page(request)
        response.headers.update(pages.HEADERS)
        response.content_type, response.charset = "text/html", "utf-8"
        return response

    async def _page(self, request: web.Request) -> web.Response:
        try:
            bolt_request = await to_bolt_request(request)
            flow = self._flow_now()
            if request.path == INSTALL_PATH:
                return await to_aiohttp_response(await flow.handle_installation(bolt_request))
            return await to_aiohttp_response(await flow.handle_callback(bolt_request))
        except (
            BoltError,
            SyncError,
            SlackClientError,
            ClientError,
            OSError,
            ValueError,
            TypeError,
            LookupError,
            NameError,  # Bolt's flow after an answer of Slack without a bot token
        ) as error:
            log.warning("installation failed", error=type(error).__name__)
            t = texts(pages.language(request.headers.get("Accept-Language", "")))
            page = pages.failed(t, "trouble", INSTALL_PATH, self._support_at)
            return web.Response(status=503, text=page)

    async def _success(self, args: AsyncSuccessArgs) -> BoltResponse:
        found = args.installation
        grid = found.is_enterprise_install is True
        org = org_key(found.enterprise_id, found.team_id, grid)
        await self._store.speak(org)
        await self._store.change_prefs(org, installer=found.user_id or "")
        if found.user_id:
            self._tasks.spawn(self._welcome(org, found.user_id), "welcome")
        about = pages.Installed(
            workspace=found.enterprise_name or "" if grid else found.team_name or "",
            app_id=found.app_id or "",
            team_id=found.team_id or "",
            grid=grid,
            enterprise_url=found.enterprise_url or "",
        )
        page = pages.installed(_texts(args.request.headers), about, self._tag, self._support_at)
        return self._last_page(200, page)

    async def _welcome(self, org: str, user: str) -> None:
        installed = await self._workspaces.find(org)
        if installed is None:
            return
        language = "en"
        try:
            person = await self._people.get(org, installed.token, user)
            language = language_of(person.locale)
        except SlackError as error:
            log.info("installer's language is unknown", code=error.code)
        await self._announcer.welcome(org, user, language)

    async def _failure(self, args: AsyncFailureArgs) -> BoltResponse:
        log.warning("installation refused", reason=args.reason[:60])
        t = _texts(args.request.headers)
        page = pages.failed(t, args.reason, INSTALL_PATH, self._support_at)
        return self._last_page(args.suggested_status_code, page)

    def _last_page(self, status: int, page: str) -> BoltResponse:
        """The state was used: its cookie goes."""
        cookie = self._settings.state_utils.build_set_cookie_for_deletion()
        return BoltResponse(status=status, body=page, headers={"Set-Cookie": cookie})
