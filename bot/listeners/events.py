"""Events: the Home tab is opened, the app is removed.

Slack sends an event again when it is not answered with success, so that the app was removed is
written down before the answer. The rest is done after it, by this process or by a sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot import flows
from bot.authz import Need, Verdict
from bot.blocks import home as page
from bot.caller import Caller
from bot.deps import Call, Deps, spawn
from bot.notifier import LEASE_SECONDS, NOTIFIER
from bot.orgs import org_key

log = structlog.get_logger(__name__)

NOTE_SECONDS = 2.0  # before the answer, for which Slack waits three
ERASE_WAIT = 15.0  # seconds for a notifier that is at work
EVENTS = ("app_home_opened", "app_uninstalled", "tokens_revoked")


def register(app: AsyncApp, deps: Deps) -> None:
    """Every event that the manifest asks for. Bolt acknowledges events by itself."""

    async def opened(body: dict[str, Any], context: AsyncBoltContext) -> None:
        event = _event(body)
        if event.get("tab", "home") == "home" and isinstance(event.get("user"), str):
            caller = Caller(context["installed"], user=event["user"])
            spawn(deps, caller, "home", show_home)

    async def noted(
        body: dict[str, Any], context: AsyncBoltContext, next_: Callable[[], Awaitable[None]]
    ) -> None:
        org = _org(context)
        if org and not _only_people(_event(body)):
            async with asyncio.timeout(NOTE_SECONDS):
                await note_removal(deps, org, _time(body))
        await next_()

    async def removed(body: dict[str, Any], context: AsyncBoltContext) -> None:
        org = _org(context)
        if org and not _only_people(_event(body)):
            deps.tasks.spawn(erase(deps, org, _time(body)), "uninstall")

    app.event("app_home_opened")(opened)
    app.event("app_uninstalled", middleware=[noted])(removed)
    app.event("tokens_revoked", middleware=[noted])(removed)


def _event(body: Mapping[str, Any]) -> Mapping[str, Any]:
    event = body.get("event")
    return event if isinstance(event, Mapping) else {}


def _org(context: AsyncBoltContext) -> str:
    try:
        return org_key(
            context.enterprise_id, context.team_id, context.is_enterprise_install is True
        )
    except ValueError:
        return ""


def _time(body: Mapping[str, Any]) -> float:
    at = body.get("event_time")
    return float(at) if isinstance(at, int | float) else 0.0


def _only_people(event: Mapping[str, Any]) -> bool:
    """Whether only tokens of people were revoked: the app itself is still installed."""
    tokens = event.get("tokens")
    return event.get("type") == "tokens_revoked" and not (
        isinstance(tokens, Mapping) and tokens.get("bot")
    )


async def note_removal(deps: Deps, org: str, at: float) -> None:
    """Make it durable that everything is to be erased. Raises `StoreError`."""
    if not await _is_late(deps, org, at):
        await deps.service.erase_later(org)


async def _is_late(deps: Deps, org: str, at: float) -> bool:
    """Whether an event is older than the installation: it belongs to an earlier one."""
    return bool(at) and at < int(await deps.workspaces.since(org))  # Slack's are whole seconds


async def erase(deps: Deps, org: str, at: float) -> None:
    """Stop and erase everything; both events come, in either order, perhaps more than once."""
    if await _is_late(deps, org, at):
        log.info("late event of an earlier installation", org=org)
        return
    await deps.service.erase(org)
    # Once more when no notifier is telling something: it would write down where it told it.
    async with deps.store.waited_lease(org, NOTIFIER, LEASE_SECONDS, ERASE_WAIT):
        await deps.service.erase(org)
        await deps.workspaces.remove(org)
        await deps.store.erase(org)
    deps.people.forget(org)
    log.info("organisation erased", org=org)


async def show_home(call: Call) -> None:
    """The Home tab, for who may see it."""
    said = await call.verdict(Need.VIEW)
    if said is not Verdict.YES:
        await call.deps.replies.publish(call.caller, page.refused(call.t, said))
        return
    manages = await call.verdict(Need.MANAGE) is Verdict.YES
    data = await flows.status_data(call)
    tag, help_at = call.deps.tag, call.deps.support_at
    view = page.home(call.t, data, manages=manages, tag=tag, support_at=help_at)
    await call.deps.replies.publish(call.caller, view)
