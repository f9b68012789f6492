"""Events: the Home tab is opened, the app is removed."""

from __future__ import annotations

from collections.abc import Mapping
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

ERASE_WAIT = 15.0  # seconds for a notifier that is at work
EVENTS = ("app_home_opened", "app_uninstalled", "tokens_revoked")


def register(app: AsyncApp, deps: Deps) -> None:
    """Every event that the manifest asks for. Bolt acknowledges events by itself."""

    async def opened(body: dict[str, Any], context: AsyncBoltContext) -> None:
        event = _event(body)
        if event.get("tab", "home") == "home" and isinstance(event.get("user"), str):
            caller = Caller(context["installed"], user=event["user"])
            spawn(deps, caller, "home", show_home)

    async def removed(body: dict[str, Any], context: AsyncBoltContext) -> None:
        org = _org(context)
        if org and not _only_people(_event(body)):
            deps.tasks.spawn(erase(deps, org, _time(body)), "uninstall")

    app.event("app_home_opened")(opened)
    app.event("app_uninstalled")(removed)
    app.event("tokens_revoked")(removed)


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


async def erase(deps: Deps, org: str, at: float) -> None:
    """Stop and erase everything; both events come, in either order, perhaps more than once.

    An event older than the installation belongs to an earlier one: it erases nothing.
    """
    if at and at < int(await deps.workspaces.since(org)):  # Slack's times are whole seconds
        log.info("late event of an earlier installation", org=org)
        return
    # First of all durable: a process that dies while it waits leaves the rest to the sweep.
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
