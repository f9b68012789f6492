"""The checks of `xtool doctor` that concern `sync`: each looks, and lets a judge speak."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from sync import doctor
from sync.clock import ask, steady
from sync.doctor import Check, Result
from sync.documents import rules
from sync.documents.errors import RulesError
from sync.documents.worker import DocumentWorker
from sync.embedded import EmbeddedStore
from sync.model import ParticipantId
from sync.peppol import naptr
from sync.peppol.access_point import AccessPoint
from sync.settings import Settings
from sync.store.redis import Clients
from sync.vault import open_vault, unreadable_keys

# Well-formed ids of nobody and nothing: the question is whether there is an answer.
NOBODY = ParticipantId(scheme="9930", value="DE000000000")
NO_SUBMISSION = "00000000-0000-4000-8000-000000000000"


def standard_checks(
    settings: Settings, http: httpx.AsyncClient, access_point: AccessPoint
) -> list[Check]:
    """Everything that `sync` depends on. `bot` adds its own.

    Must run in the main thread, and the directory before the store, which puts it right.
    """
    name = access_point.capabilities.name
    checks = [
        Check("settings", lambda: _settings(settings, access_point)),
        Check("data directory", lambda: _directory(settings)),
        Check("store", lambda: _store(settings)),
        Check("sevDesk", lambda: _sevdesk(settings, http)),
        Check("receivers' look-up", lambda: _lookup(settings, access_point)),
        Check("rules", lambda: _rules(settings)),
    ]
    if not settings.missing_credentials:
        checks.insert(4, Check(f"access point ({name})", lambda: _access_point(access_point)))
    return checks


async def _settings(settings: Settings, access_point: AccessPoint) -> Sequence[Result]:
    can, secret = access_point.capabilities, settings.peppol_webhook_secret
    webhook = doctor.judge_webhook(can.name, can.webhook, secret=secret is not None)
    return [doctor.judge_settings(settings), webhook]


async def _directory(settings: Settings) -> Sequence[Result]:
    path = settings.data_dir
    try:
        status = path.stat()
    except FileNotFoundError:
        return [doctor.judge_directory(path, None)]
    return [doctor.judge_directory(path, status.st_mode, owned=status.st_uid == os.getuid())]


async def _store(settings: Settings) -> Sequence[Result]:
    """The store, and the key that its secrets are encrypted with."""
    async with AsyncExitStack() as stack:
        if settings.redis_url is None:
            store = EmbeddedStore(settings.data_dir, watch=False)
            url, files = await stack.enter_async_context(store), store.data_dir
        else:
            url, files = settings.redis_url.get_secret_value(), None
        clients = Clients(url, files=files)
        stack.push_async_callback(clients.aclose)
        results = doctor.judge_durability(await clients.durability())
        results.append(doctor.judge_store_clock(await _apart(clients)))
        return [*results, *await doctor.examine([Check("encryption key", _key(settings, clients))])]


async def _apart(clients: Clients) -> float:
    """Our clock minus the store's, in seconds; 0 if the time of the answer explains it."""
    told = await ask(clients)
    now = datetime.now(UTC).timestamp()
    there = told.moved(steady())
    return now - min(max(now, there.low), there.high)


def _key(settings: Settings, clients: Clients) -> doctor.Run:
    async def run() -> Sequence[Result]:
        vault = await open_vault(settings, clients)
        return [doctor.judge_keys(await unreadable_keys(clients, vault))]

    return run


async def _sevdesk(settings: Settings, http: httpx.AsyncClient) -> Sequence[Result]:
    """One request without a token; its answer also tells the time."""
    try:
        answer = await http.get(f"{settings.sevdesk_api_url}/Tools/bookkeepingSystemVersion")
    except httpx.HTTPError:
        return [doctor.judge_sevdesk(None), doctor.judge_clock(None)]
    skew = _skew(answer.headers.get("date", ""), datetime.now(UTC))
    return [doctor.judge_sevdesk(answer.status_code), doctor.judge_clock(skew)]


def _skew(date: str, now: datetime) -> float | None:
    """Our clock minus the other side's `Date`, in seconds; None if it does not tell."""
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    return (now - told).total_seconds() if told.tzinfo else None


async def _access_point(access_point: AccessPoint) -> Sequence[Result]:
    name = access_point.capabilities.name
    return [doctor.judge_access_point(name, await access_point.status(NO_SUBMISSION))]


async def _lookup(settings: Settings, access_point: AccessPoint) -> Sequence[Result]:
    mode = settings.peppol_lookup
    if mode == "access-point":
        found = await access_point.lookup(NOBODY)
        return [doctor.judge_lookup(found, access_point.capabilities.name)]
    zone = naptr.TEST_ZONE if mode == "sml-test" else naptr.PRODUCTION_ZONE
    try:
        await naptr.Locator(naptr.system_resolver(), zone).smp(NOBODY)
    except naptr.DnsDownError as problem:
        return [doctor.judge_dns(str(problem), mode)]
    except naptr.NaptrError:
        pass  # a strange record is an answer, too
    return [doctor.judge_dns(None, mode)]


async def _rules(settings: Settings) -> Sequence[Result]:
    rules.use(settings.data_dir / "rules")
    found = await asyncio.to_thread(rules.status)
    return [doctor.judge_rules(found, damaged=found.available and not await _load())]


async def _load() -> bool:
    """Whether the official rules can be loaded: they are compiled, as a worker does it."""
    try:
        async with DocumentWorker():
            return True
    except RulesError:
        return False
