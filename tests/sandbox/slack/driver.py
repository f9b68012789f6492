"""`FakeSlack`: the stand-in with a person's hands, for tests and for the sandbox page."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import aiohttp
from aiohttp import web
from yarl import URL

from tests.sandbox.slack import api_chat, api_views, payloads
from tests.sandbox.slack.core import Core, Install
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.fields import check_inputs, fill, typed
from tests.sandbox.slack.oauth import OAuth
from tests.sandbox.slack.outbound import ANSWER_SECONDS, Delivery, Outbound, event_envelope
from tests.sandbox.slack.payloads import Place, Target
from tests.sandbox.slack.screen import Screen
from tests.sandbox.slack.server import Server
from tests.sandbox.slack.validation import error_code, validate_message
from tests.sandbox.slack.workspace import (
    Changes,
    Channel,
    Json,
    Message,
    OpenView,
    User,
)

TROUBLE = "We had some trouble connecting. Try again?"  # what Slack's modal says


class FakeSlack(Screen):
    """One workspace, one app. People are named by id, name or kind (`admin`, `guest`, …).

    `scopes` limits the bot token (None: all). `clock` is seconds since the epoch, for triggers
    and response URLs. `time_scale` shrinks the waits between event retries. `changes` may be
    shared with other stand-ins so that `wait_for` wakes for theirs too.
    """

    def __init__(
        self,
        signing_secret: str,
        bot_token: str,
        *,
        scopes: Iterable[str] | None = None,
        client_id: str = "111.222",
        client_secret: str = "client-secret-of-the-sandbox",
        clock: Callable[[], float] = time.time,
        answer_seconds: float = ANSWER_SECONDS,
        time_scale: float = 0.0,
        changes: Changes | None = None,
    ) -> None:
        limited = None if scopes is None else frozenset(scopes)
        super().__init__(Core(bot_token, scopes=limited, clock=clock, changes=changes))
        self.oauth = OAuth(self.core, client_id, client_secret)
        self.out = Outbound(
            self.core, signing_secret, answer_seconds=answer_seconds, time_scale=time_scale
        )
        self.place = Place(self.core.team_id)
        self.core.uninstalled = self._tell_of_uninstall
        self._runner: web.AppRunner | None = None

    # --- life ------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> Self:
        """Listen; `api_url` is set after it."""
        self._runner = web.AppRunner(
            Server(self.core, self.oauth).app, access_log=None, shutdown_timeout=1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = self._runner.addresses[0][1]
        self.core.api_root = f"http://{host}:{bound}"
        return self

    async def stop(self) -> None:
        """Release held calls, stop listening, drop pending event retries."""
        self.faults.clear()
        await self.out.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        return self if self._runner is not None else await self.start()

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    @property
    def api_url(self) -> str:
        """For `SLACK_API_URL`; ends with a slash."""
        return f"{self.core.api_root}/api/"

    @property
    def authorize_url(self) -> str:
        """The consent page, in place of https://slack.com/oauth/v2/authorize."""
        return f"{self.core.api_root}/oauth/v2/authorize"

    def connect_app(self, events_url: str) -> None:
        """Where commands, clicks and events go; OAuth redirects go to the same host."""
        self.out.events_url = events_url
        self.oauth.redirect_url = str(URL(events_url).with_path("/slack/oauth_redirect"))

    # --- what people do ----------------------------------------------------------------------

    async def command(
        self, text: str, *, user: str = "admin", channel: str = "invoices"
    ) -> Delivery:
        """Type a slash command: `/sevdesk sync`, or just `sync`."""
        name, _, rest = text.partition(" ") if text.startswith("/") else ("/sevdesk", "", text)
        person, place = self.user(user), self.channel(channel)
        form = payloads.command_form(self.core, self.place, person, place, name, rest.strip())
        delivery = await self.out.form("command", form)
        if delivery.error:
            said = f"{name} failed with the error “{delivery.error}”"
            self.core.tell(person.id, delivery.error, said)
        elif delivery.body.strip():
            self._answer_command(person, place, delivery)
        return delivery

    def _answer_command(self, person: User, channel: Channel, delivery: Delivery) -> None:
        body = delivery.json or {"text": delivery.body}
        if validate_message(body):
            delivery.error = error_code(validate_message(body))
            self.core.tell(person.id, delivery.error, f"The app answered with {delivery.error}")
            return
        api_chat.answer_in_channel(self.core, person.id, channel.id, body)

    async def click(
        self,
        action_id: str | re.Pattern[str],
        *,
        user: str = "admin",
        message: Message | OpenView | None = None,
        block_id: str | None = None,
        value: str | None = None,
        option: Any = None,
    ) -> Delivery:
        """Use a button, menu or select: the newest one on the person's screen.

        `action_id` is exact or a compiled pattern. `message` (or a view), `block_id` and `value`
        narrow it down; `option` is what is chosen in a menu or select. `LookupError` when it is
        not there.
        """
        person = self.user(user)
        target = self.find(action_id, user=user, message=message, block_id=block_id, value=value)
        self._choose(target, option)
        action = payloads.action_of(self.core, target, option)
        payload = payloads.block_actions(self.core, self.place, person, target, action)
        delivery = await self.out.interaction(payload)
        if delivery.error:
            self.core.tell(person.id, delivery.error, "This app did not respond.")
        return delivery

    def _choose(self, target: Target, option: Any) -> None:
        if target.element["type"] in {"button", "overflow", "workflow_button"}:
            return
        holder = target.container
        values = holder.values if isinstance(holder, OpenView) else holder.state
        state = typed(target.element, option)
        values.setdefault(target.block["block_id"], {})[target.element["action_id"]] = state

    async def submit(
        self,
        view: OpenView | None = None,
        values: Mapping[str, Any] | None = None,
        *,
        user: str = "admin",
    ) -> Delivery:
        """Fill in the modal on top (fields by block id or action id) and submit it.

        Raises `InputRefusedError` where Slack's client would not let it go.
        """
        shown = view or self.modal(user)
        person = self.user(user)
        shown.errors, shown.trouble = {}, ""
        fill(shown, values or {})
        check_inputs(shown)
        shown.busy = True
        self.core.changes.notify()
        payload = payloads.view_submission(self.core, self.place, person, shown)
        delivery = await self.out.interaction(payload)
        shown.busy = False
        self._after_submit(person, shown, delivery)
        self.core.changes.notify()
        return delivery

    def _after_submit(self, person: User, view: OpenView, delivery: Delivery) -> None:
        try:
            self._apply(person, view, delivery)
        except ApiError as error:
            delivery.error, view.trouble = error.code, TROUBLE
            self.core.tell(person.id, error.code, TROUBLE)

    def _apply(self, person: User, view: OpenView, delivery: Delivery) -> None:
        if delivery.error:
            raise ApiError(delivery.error)
        answer = delivery.json
        action = answer.get("response_action")
        if not delivery.body.strip():
            self.workspace.drop_view(view)
        elif action == "errors":
            view.errors = input_errors(view, answer.get("errors"))
        elif action == "update":
            api_views.replace(self.core, view, api_views.check_view(answer.get("view")))
        elif action == "push":
            api_views.push_modal(self.core, person.id, api_views.check_view(answer.get("view")))
        elif action == "clear":
            self.workspace.modals[person.id] = []
        else:
            raise ApiError("invalid_response_action")

    async def close(self, view: OpenView | None = None, *, user: str = "admin") -> Delivery | None:
        """Cancel the modal on top; the app hears of it if it asked to."""
        shown = view or self.modal(user)
        self.workspace.drop_view(shown)
        if shown.content.get("clear_on_close"):
            self.workspace.modals[shown.user] = []
        if not shown.content.get("notify_on_close"):
            return None
        person = self.user(user)
        payload = payloads.view_closed(self.core, self.place, person, shown, cleared=False)
        return await self.out.interaction(payload)

    async def open_home(self, *, user: str = "admin") -> Delivery:
        """Open the app's Home tab."""
        person = self.user(user)
        home = self.workspace.homes.get(person.id)
        channel = self.workspace.direct(person, self.core.bot_user).id
        event: Json = {"type": "app_home_opened", "user": person.id, "channel": channel}
        event["tab"] = "home"
        if home is not None:
            event["view"] = payloads.view_object(self.core, self.place, home)
        return await self.event(event)

    async def event(self, event: Json, *, retry: bool = True) -> Delivery:
        """Send an event, repeated as Slack does while the app does not answer."""
        return await self.out.event(self._envelope(event), retry=retry)

    def _envelope(self, event: Json) -> Json:
        team = None if self.place.is_enterprise_install else self.place.team_id
        return event_envelope(self.core, event, team_id=team, enterprise=self.place.enterprise_id)

    async def uninstall(self, *, tokens_first: bool = False) -> list[Delivery]:
        """Remove the app: every token dies, both events are sent, in either order."""
        for install in self.core.installs.values():
            install.error = install.error or "account_inactive"
        gone: Json = {"type": "app_uninstalled"}
        revoked: Json = {"type": "tokens_revoked", "tokens": {"bot": [self.core.bot_user]}}
        order = [revoked, gone] if tokens_first else [gone, revoked]
        return [await self.event(event) for event in order]

    def _tell_of_uninstall(self, install: Install) -> None:
        revoked = {"type": "tokens_revoked", "tokens": {"bot": [install.bot_user]}}
        for event in ({"type": "app_uninstalled"}, revoked):
            self.out.in_background(self._envelope(event))

    def revoke_token(self, error: str = "token_revoked") -> None:
        """Every token is refused with `error` from now on; no event is sent."""
        for install in self.core.installs.values():
            install.error = error

    def limit_scopes(self, scopes: Iterable[str]) -> None:
        """Every token has these scopes only, as after an installation with the app's manifest."""
        for install in self.core.installs.values():
            install.scopes = frozenset(scopes)

    def in_enterprise(self, enterprise_id: str = "E0GRID", *, whole_org: bool = True) -> None:
        """From now on, interactions come from a workspace of an Enterprise Grid org."""
        self.workspace.teams[self.core.team_id].enterprise_id = enterprise_id
        self.place = replace(
            self.place, enterprise_id=enterprise_id, is_enterprise_install=whole_org
        )

    async def install(
        self, install_url: str, *, user: str = "admin", whole_org: bool = False
    ) -> tuple[int, str]:
        """Walk through the OAuth installation as a browser: state cookie and consent included.

        Returns status and text of the app's last page.
        """
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as browser:
            async with browser.get(install_url, allow_redirects=False) as first:
                target = first.headers.get("Location") or _first_link(await first.text())
                cookie = first.headers.get("Set-Cookie", "").split(";")[0]
            query = dict(URL(target).query)
            team = None if whole_org else self.core.team_id
            enterprise = self.place.enterprise_id or ("E0GRID" if whole_org else None)
            back = self.oauth.allowed_url(
                query, self.user(user).id, team_id=team, enterprise_id=enterprise
            )
            async with browser.get(back, headers={"Cookie": cookie}) as last:
                return last.status, await last.text()


def _first_link(page: str) -> str:
    found = re.search(r'href="([^"]*client_id=[^"]*)"', page)
    if found is None:
        raise LookupError("the install page has no link to Slack")
    return found.group(1).replace("&amp;", "&")


def input_errors(view: OpenView, errors: Any) -> dict[str, str]:
    """Errors by block id; Slack takes them only for input blocks that are shown."""
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise ApiError("invalid_response_action")
    return {str(key): str(text) for key, text in errors.items()}
