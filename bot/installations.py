"""Where the app is installed, and with which token: one workspace, or many by OAuth.

Tokens are kept encrypted under `xt:{<org>}:bot:installation`, bound to the organisation. Nothing
reads the environment here, and nothing is kept in files.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from datetime import timedelta
from logging import Logger, getLogger
from typing import Any, Protocol, override

import structlog
from pydantic import SecretStr
from slack_bolt.error import BoltError
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.installation_store.models.bot import Bot as SlackBot
from slack_sdk.oauth.installation_store.models.installation import Installation
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore

from bot.orgs import org_key
from bot.slack import SlackClients, SlackError
from bot.store import BotStore
from sync.errors import StoreError, SyncError
from sync.model import Frozen
from sync.store.organisation import Organisation
from sync.store.redis import Clients
from sync.vault import Vault

log = structlog.get_logger(__name__)

STATE_SECONDS = 600  # how long an installation may take
FIELD = "slack_bot_token"
FIND_SECONDS = 1.5  # before the acknowledgement, for which Slack waits three
KNOWN = 1_000  # installations kept in mind


class Installed(Frozen):
    """The app in one organisation."""

    org: str
    secret: SecretStr
    team_id: str = ""
    enterprise_id: str = ""
    bot_id: str = ""
    bot_user_id: str = ""
    installer: str = ""
    at: float = 0.0  # when it was installed, seconds since the epoch

    @property
    def token(self) -> str:
        """The bot's token, in the clear."""
        return self.secret.get_secret_value()


class Workspaces(Protocol):
    """Finds the token of an organisation."""

    async def of_request(
        self, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool
    ) -> Installed | None:
        """The installation that a request belongs to; None: the app is not installed there."""

    async def find(self, org: str) -> Installed | None:
        """The installation of an organisation, or None."""

    async def since(self, org: str) -> float:
        """When it was installed, in seconds since the epoch; 0 where nobody knows."""

    async def remove(self, org: str) -> None:
        """Forget it."""


class OneWorkspace:
    """The workspace that `SLACK_BOT_TOKEN` belongs to; every request is its."""

    def __init__(self, slack: SlackClients, token: str) -> None:
        self._slack = slack
        self._token = token
        self._installed: Installed | None = None
        self._asking = asyncio.Lock()

    async def identity(self) -> Installed:
        """Ask Slack once what the token belongs to. Raises `SlackError`."""
        async with self._asking:
            if self._installed is None:
                answer = await self._slack.call(self._token, "auth_test")
                self._installed = self._parse(answer)
            return self._installed

    def _parse(self, answer: Any) -> Installed:
        enterprise = answer.get("enterprise_id")
        team = answer.get("team_id")
        return Installed(
            org=org_key(enterprise, team, answer.get("is_enterprise_install") is True),
            secret=SecretStr(self._token),
            team_id=str(team or ""),
            enterprise_id=str(enterprise or ""),
            bot_id=str(answer.get("bot_id") or ""),
            bot_user_id=str(answer.get("user_id") or ""),
        )

    async def of_request(
        self,
        enterprise_id: str | None,  # noqa: ARG002 - the protocol's
        team_id: str | None,  # noqa: ARG002 - the protocol's
        is_enterprise_install: bool,  # noqa: ARG002 - the protocol's
    ) -> Installed | None:
        """The one installation. People of other companies are refused by who they are."""
        try:
            return await self.identity()
        except (SlackError, ValueError) as error:
            log.warning("slack does not say whose token this is", error=str(error))
            return None

    async def find(self, org: str) -> Installed | None:
        """The one installation, if it is that organisation's. Raises `SlackError`."""
        installed = await self.identity()
        return installed if installed.org == org else None

    async def since(self, org: str) -> float:  # noqa: ARG002 - the protocol's
        """Nobody knows."""
        return 0.0

    async def remove(self, org: str) -> None:  # noqa: ARG002 - the protocol's
        """A token from the environment cannot be forgotten; it is asked about anew."""
        self._installed = None


class ManyWorkspaces:
    """Installations that people made by OAuth."""

    def __init__(self, clients: Clients, vault: Vault) -> None:
        self._clients = clients
        self._redis: Any = clients.redis
        self._exact: Any = clients.exact
        self._vault = vault
        self._known: OrderedDict[str, Installed] = OrderedDict()

    async def of_request(
        self, enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool
    ) -> Installed | None:
        """The installation under the request's organisation key.

        While the store is away it is the one that was found last: whoever asks is to be told what
        is the matter, and for that the store is not needed.
        """
        try:
            org = org_key(enterprise_id, team_id, is_enterprise_install)
        except ValueError:
            return None
        try:
            async with asyncio.timeout(FIND_SECONDS):
                found = await self.find(org)
        except (StoreError, TimeoutError):
            log.warning("installation cannot be read", org=org, known=org in self._known)
            return self._known.get(org)
        self._remember(org, found)
        return found

    def _remember(self, org: str, found: Installed | None) -> None:
        self._known.pop(org, None)
        if found is not None:
            self._known[org] = found
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)

    async def find(self, org: str) -> Installed | None:
        """The installation of an organisation. Raises `StoreError` or `VaultError`."""
        raw = await self._redis.get(BotStore.key(org, "installation"))
        if not raw:
            return None
        stored = json.loads(raw)
        token = self._vault.decrypt(org, FIELD, stored.pop("token"))
        return Installed.model_validate({**stored, "secret": token})

    async def save(self, installed: Installed) -> None:
        """Keep it, the token encrypted."""
        data = installed.model_dump(exclude={"secret"})
        data["token"] = self._vault.encrypt(installed.org, FIELD, installed.token)
        # What an uninstall leaves to be erased later is not this installation's.
        await Organisation(self._clients, installed.org, timedelta(0)).keep()
        await self._exact.set(BotStore.key(installed.org, "installation"), json.dumps(data))

    async def since(self, org: str) -> float:
        """When it was saved last; also where its token cannot be read any more."""
        raw = await self._redis.get(BotStore.key(org, "installation"))
        return float(json.loads(raw)["at"]) if raw else 0.0

    async def remove(self, org: str) -> None:
        """Forget it; that there is none is no error."""
        await self._exact.delete(BotStore.key(org, "installation"))


class InstallationStore(AsyncInstallationStore):
    """`ManyWorkspaces` as Bolt's OAuth flow wants it: errors of the store are `BoltError`."""

    def __init__(self, workspaces: ManyWorkspaces) -> None:
        self._workspaces = workspaces

    @property
    @override
    def logger(self) -> Logger:
        return getLogger("bot.oauth")

    @override
    async def async_save(self, installation: Installation) -> None:
        try:
            await self._workspaces.save(_installed(installation))
        except (SyncError, ValueError) as error:
            raise BoltError("the installation could not be stored") from error

    @override
    async def async_save_bot(self, bot: SlackBot) -> None:
        """Everything is saved with the installation."""

    @override
    async def async_find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> SlackBot | None:
        """Not used: requests are authorised by `Workspaces`."""
        return None

    @override
    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """Not used: requests are authorised by `Workspaces`."""
        return None


def _installed(installation: Installation) -> Installed:
    """Raises `ValueError` where the answer of Slack lacks what we need."""
    if not installation.bot_token:
        raise ValueError("Slack gave no bot token")
    grid = installation.is_enterprise_install is True
    return Installed(
        org=org_key(installation.enterprise_id, installation.team_id, grid),
        secret=SecretStr(installation.bot_token),
        team_id=installation.team_id or "",
        enterprise_id=installation.enterprise_id or "",
        bot_id=installation.bot_id or "",
        bot_user_id=installation.bot_user_id or "",
        installer=installation.user_id or "",
        at=installation.installed_at,
    )


class StateStore(AsyncOAuthStateStore):
    """One-time states of the OAuth flow; each counts once, within ten minutes."""

    def __init__(self, clients: Clients) -> None:
        self._exact: Any = clients.exact

    @property
    @override
    def logger(self) -> Logger:
        return getLogger("bot.oauth")

    @override
    async def async_issue(self, *args: Any, **kwargs: Any) -> str:
        state = secrets.token_urlsafe(32)
        await self._exact.set(f"xt:oauth:{state}", "1", nx=True, ex=STATE_SECONDS)
        return state

    @override
    async def async_consume(self, state: str) -> bool:
        if not state or len(state) > 200:
            return False
        return bool(await self._exact.delete(f"xt:oauth:{state}"))
