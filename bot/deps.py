"""What the listeners share, and the frame in which all their work runs."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import structlog

from bot.announce import Announcer
from bot.authz import Need, Person, Verdict, verdict
from bot.blocks import modals
from bot.blocks.connection import reason_card
from bot.caller import Caller
from bot.cards import Cards
from bot.installations import Workspaces
from bot.metrics import ANSWERS
from bot.people import People
from bot.posting import Poster
from bot.prefs import Prefs
from bot.replies import Replies
from bot.service import Service
from bot.slack import SlackClients, SlackError
from bot.store import BotStore
from bot.tasks import Tasks
from bot.texts import Texts, language_of, texts
from sync.errors import StoreError, SyncError

log = structlog.get_logger(__name__)


# Pieces of work at the same time. Measured: without a limit, waves of fifty clicks took all
# connections to the store, and a worker in the same process sent nothing for half a minute.
AT_ONCE = 12

PREFS_SECONDS = 5.0  # a person waits; the store's own patience is longer, and it repeats


class DeniedError(Exception):
    """The person may not do this."""

    def __init__(self, said: Verdict) -> None:
        super().__init__(said.value)
        self.verdict = said


@dataclass(frozen=True, slots=True)
class Deps:
    """Everything that a listener may use."""

    service: Service
    store: BotStore
    workspaces: Workspaces
    slack: SlackClients
    people: People
    poster: Poster
    cards: Cards
    announcer: Announcer
    replies: Replies
    tasks: Tasks
    tag: str  # name of the contact tag
    support_at: str = ""  # where people get help, as the operator set it
    languages: dict[str, str] = field(default_factory=dict)  # last known, by organisation
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))


@dataclass(slots=True)
class Call:
    """One piece of work for one person: their texts and settings, and whether they may."""

    deps: Deps
    caller: Caller
    t: Texts
    prefs: Prefs

    async def person(self) -> Person:
        """The caller as Slack describes them. Raises `SlackError`."""
        people, caller = self.deps.people, self.caller
        return await people.get(caller.org, caller.token, caller.user)

    async def verdict(self, need: Need) -> Verdict:
        """What the rules say about the caller."""
        person = await self.person()
        if not self.prefs.chosen:
            self.t = texts(language_of(person.locale))
        return verdict(
            need,
            person,
            org=self.caller.org,
            managers=await self._managers(),
            chosen=self.prefs.may_retry,
        )

    async def _managers(self) -> set[str]:
        connection = await self.deps.service.connection(self.caller.org)
        connected_by = connection.connected_by if connection else ""
        return {self.caller.installed.installer, self.prefs.installer, connected_by} - {""}

    async def require(self, need: Need) -> None:
        """Go on only if the caller may. Raises `DeniedError` or `SlackError`."""
        said = await self.verdict(need)
        if said is not Verdict.YES:
            raise DeniedError(said)


type Work = Callable[[Call], Awaitable[None]]


def spawn(deps: Deps, caller: Caller, name: str, work: Work) -> None:
    """Do `work` after the acknowledgement. Whatever happens, the person is answered."""
    deps.tasks.spawn(run(deps, caller, name, work), name)


def spawn_watch(call: Call, caller: Caller, name: str, work: Work) -> None:
    """Go on with `work` that mostly waits, outside of the limit on work at the same time."""
    call.deps.tasks.spawn(_run(call.deps, caller, name, work), name)


def spawn_modal(deps: Deps, caller: Caller, name: str, title: str, work: Work) -> None:
    """As `spawn`, for work that fills a modal: a loading view is opened before anything else.

    A trigger lives three seconds, and nothing that can be slow may come before it is used.
    `title` is the key of the modal's title.
    """
    deps.tasks.spawn(_run_modal(deps, caller, name, title, work), name)


async def _run_modal(deps: Deps, caller: Caller, name: str, title: str, work: Work) -> None:
    t = texts(deps.languages.get(caller.org, "en"))
    try:
        opened = await deps.replies.view(caller, modals.loading(t, title))
    except SlackError as error:
        ANSWERS.labels(name, "slack").inc()
        log.warning("modal did not open", action=name, org=caller.org, code=error.code)
        await deps.replies.say(replace(caller, screen=""), t, t.md("error.modal"))
        return
    await run(deps, opened, name, work)


async def run(deps: Deps, caller: Caller, name: str, work: Work) -> None:
    """`work` in its frame, as one of `AT_ONCE`."""
    async with deps.gate:
        await _run(deps, caller, name, work)


async def _prefs(deps: Deps, org: str) -> Prefs:
    """Everybody's first look at the store. Raises `StoreError`: also soon if it hangs."""
    try:
        async with asyncio.timeout(PREFS_SECONDS):
            return await deps.store.prefs(org)
    except TimeoutError:
        raise StoreError("the store does not answer in time") from None


async def _run(deps: Deps, caller: Caller, name: str, work: Work) -> None:
    """The frame: `work`, and for each way to fail its answer."""
    call = Call(deps, caller, texts(deps.languages.get(caller.org, "en")), Prefs())
    try:
        call.prefs = await _prefs(deps, caller.org)
        call.t = texts(call.prefs.language)
        deps.languages[caller.org] = call.t.language
        await work(call)
        ANSWERS.labels(name, "ok").inc()
    except DeniedError as denied:
        ANSWERS.labels(name, "denied").inc()
        text = call.t.md(f"denied.{denied.verdict.value}")
        await deps.replies.say(caller, call.t, text)
        if caller.screen == "modal" and caller.response_url:  # stays when the modal is closed
            await deps.replies.say(replace(caller, screen=""), call.t, text)
    except SyncError as error:
        ANSWERS.labels(name, "error").inc()
        log.warning("work failed", action=name, org=caller.org, code=error.reason_code)
        await deps.replies.tell(caller, call.t, reason_card(call.t, error.reason))
    except SlackError as error:
        ANSWERS.labels(name, "slack").inc()
        log.warning("slack failed", action=name, org=caller.org, code=error.code)
        await deps.replies.say(caller, call.t, call.t.md("error.slack"))
    except Exception:  # the person gets a reference, the operator the traceback
        ANSWERS.labels(name, "internal").inc()
        reference = secrets.token_hex(4)
        log.exception("work failed unexpectedly", action=name, org=caller.org, ref=reference)
        await deps.replies.say(caller, call.t, call.t.md("error.internal", reference=reference))
