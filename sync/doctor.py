"""`xtool doctor`: what is checked, and what is said about it.

A judge is a pure function from what was found to results; a check finds it. Checks are given to
`examine`, which runs them side by side, each bounded in time, and turns whatever they raise into
a result: the doctor itself never fails. No sentence holds a secret.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sync.documents.rules import RulesStatus
from sync.errors import SyncError
from sync.peppol.access_point import DeliveryStatus, Lookup, LookupDown, Webhook
from sync.settings import Settings
from sync.store.redis import Durability

CHECK_SECONDS = 20.0
CLOCK_GOOD = 30.0  # seconds; Date headers have whole seconds, and an answer takes its time
CLOCK_BAD = 240.0  # seconds; Slack's signatures are good for 300
STORE_CLOCK_GOOD = 5.0  # seconds between this machine's clock and the store's

_ADVICE = {
    "store.unavailable": "Start the store, and look at REDIS_URL.",
    "store.refused": "Free space on the store's disk or in its memory.",
}


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it works, but less than it could
    FAIL = "fail"  # it does not work


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the doctor: what was looked at, what was found, what to do."""

    name: str
    status: Status
    sentence: str
    advice: str = ""  # empty when all is well


type Run = Callable[[], Awaitable[Sequence[Result]]]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at something; it may see several things."""

    name: str
    run: Run


def ok(name: str, sentence: str) -> Result:
    """All is well."""
    return Result(name, Status.OK, sentence)


def warn(name: str, sentence: str, advice: str) -> Result:
    """Works, but."""
    return Result(name, Status.WARN, sentence, advice)


def fail(name: str, sentence: str, advice: str) -> Result:
    """Does not work."""
    return Result(name, Status.FAIL, sentence, advice)


async def examine(checks: Iterable[Check], *, seconds: float = CHECK_SECONDS) -> list[Result]:
    """Run all checks side by side; their results in the order of the checks."""
    found = await asyncio.gather(*(_guarded(check, seconds) for check in checks))
    return [result for results in found for result in results]


async def _guarded(check: Check, seconds: float) -> Sequence[Result]:
    try:
        async with asyncio.timeout(seconds):
            return await check.run()
    except TimeoutError:
        advice = "Look at the network and the other side's status page, then try again."
        return [fail(check.name, f"There was no answer within {seconds:.0f} seconds.", advice)]
    except SyncError as error:
        advice = _ADVICE.get(error.reason_code, "Put that right and run this again.")
        return [fail(check.name, sentence(str(error)), advice)]
    except Exception as error:  # noqa: BLE001 - the doctor tells of every failure, also of its own
        kind = type(error).__name__
        return [fail(check.name, f"The check itself failed ({kind}).", "Please report this.")]


def sentence(text: str) -> str:
    """The text as a sentence: a capital first, a full stop last."""
    text = text.strip() or "unknown"
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def worst(results: Iterable[Result]) -> Status:
    """The worst status among the results; ok if there are none."""
    order = list(Status)
    return max((result.status for result in results), key=order.index, default=Status.OK)


def judge_settings(settings: Settings) -> Result:
    """Whether the access point's account is complete. The rest was checked when it was read."""
    if missing := settings.missing_credentials:
        return fail(
            "settings",
            f"{settings.peppol_provider} cannot be used without {', '.join(missing)}.",
            "Copy them from your access point's account pages and set them.",
        )
    return ok("settings", "All settings are complete.")


def judge_webhook(name: str, kind: Webhook, *, secret: bool) -> Result:
    """Whether the access point `name` may tell of a delivery; `secret`: PEPPOL_WEBHOOK_SECRET."""
    title = "webhooks"
    if secret and kind is not Webhook.SIGNED:
        return warn(
            title,
            f"PEPPOL_WEBHOOK_SECRET is set, but {name} does not sign its webhooks.",
            "Take it away: it has no effect.",
        )
    if kind is Webhook.NONE:
        return ok(title, f"{name} has none; it is asked for the delivery status.")
    if kind is Webhook.UNSIGNED:
        told = "does not sign them: a call to /peppol/webhook only makes xTool ask for the status."
        return ok(title, f"{name} {told}")
    if secret:
        return ok(title, f"Calls of {name} to /peppol/webhook are taken if their signature fits.")
    return ok(title, f"{name} is asked for the status; with PEPPOL_WEBHOOK_SECRET it can call.")


def judge_durability(found: Durability) -> list[Result]:
    """What the store promises about an acknowledged write."""
    results = [ok("store", f"The store answers ({found.server})."), _append_only(found)]
    if found.aof:
        results.append(_power_cut(found))
    results.append(_fail_over(found))
    results.append(_eviction(found))
    return results


def _append_only(found: Durability) -> Result:
    name = "store: append-only file"
    if not found.aof:
        return fail(
            name,
            "It is off: when the store is killed, invoices may be forgotten and sent twice.",
            "Set `appendonly yes` in the store's configuration.",
        )
    if not found.aof_ok:
        return fail(
            name,
            "The last write to it failed; the store refuses changes.",
            "Free space on the store's disk; it goes on by itself.",
        )
    return ok(name, "It is on: what was acknowledged survives a killed store.")


def _power_cut(found: Durability) -> Result:
    name = "store: power cut"
    if found.survives_power_cut:
        return ok(name, "A submission is on disk before its request leaves.")
    if found.early:
        return warn(
            name,
            "The store answers WAITAOF before it has written to disk: after a power cut up to a "
            "second is lost, and an invoice of that second may be sent twice.",
            "Set `appendfsync always`, or use a release in which that is mended.",
        )
    return warn(
        name,
        "The store cannot be asked to write to disk: after a power cut up to a second is lost, "
        "and an invoice of that second may be sent twice.",
        "Use Valkey, or Redis 7.2 or newer, or set `appendfsync always`.",
    )


def _fail_over(found: Durability) -> Result:
    name = "store: fail-over"
    if found.replicas and found.min_replicas:
        return ok(name, "A submission is on a replica before its request leaves.")
    if found.replicas:
        return warn(
            name,
            "A submission is on a replica before its request leaves, but while no replica follows "
            "it leaves all the same. If one that is behind takes over then, it is sent again.",
            "Set `min-replicas-to-write 1` on all servers, with two replicas for each master.",
        )
    if found.min_replicas:
        told = "No replica follows, and without one the store refuses changes."
        return fail(name, told, "Start the replica; it goes on by itself.")
    return ok(name, "No replica follows, so none can take over that is behind.")


def _eviction(found: Durability) -> Result:
    name = "store: memory"
    if found.maxmemory_policy in ("", "noeviction"):
        told = "never drops anything" if found.maxmemory_policy else "does not tell its policy"
        return ok(name, f"The store {told} when memory is full.")
    return fail(
        name,
        f"When memory is full it drops records (maxmemory-policy {found.maxmemory_policy}).",
        "Set `maxmemory-policy noeviction`.",
    )


def judge_keys(unreadable: int) -> Result:
    """The encryption key is right; how many older ones of this store are missing."""
    if unreadable:
        return warn(
            "encryption key",
            f"{unreadable} older key(s) of this store are missing: what was encrypted with them "
            "cannot be read.",
            "Add them after the newest in XTOOL_ENCRYPTION_KEYS, or reconnect where it says so.",
        )
    return ok("encryption key", "It is the one that this store was written with.")


def judge_sevdesk(http_status: int | None) -> Result:
    """sevDesk's answer to a request without a token; None: no answer. 401 is the right one."""
    if http_status == 401:
        return ok("sevDesk", "sevDesk answers.")
    if http_status is None:
        return fail(
            "sevDesk",
            "sevDesk cannot be reached.",
            "Allow outgoing HTTPS to the host of SEVDESK_API_URL.",
        )
    if http_status >= 500 or http_status == 429:
        return warn("sevDesk", f"sevDesk has a problem (HTTP {http_status}).", "Try again later.")
    return fail(
        "sevDesk",
        f"Something answers, but not as sevDesk does (HTTP {http_status} instead of 401).",
        "Look at SEVDESK_API_URL, and whether a proxy answers in sevDesk's place.",
    )


def judge_clock(skew: float | None) -> Result:
    """Our time minus the other side's, in seconds; None: nobody told the time."""
    name, advice = "clock", "Let this machine set its clock by NTP."
    if skew is None:
        return warn(name, "Nobody could be asked for the time.", "Try again later.")
    told = f"This machine's clock is {abs(skew):.0f} s {'fast' if skew > 0 else 'slow'}"
    if abs(skew) <= CLOCK_GOOD:
        return ok(name, "This machine's clock is right.")
    if abs(skew) <= CLOCK_BAD:
        return warn(name, f"{told}.", advice)
    return fail(name, f"{told}; requests from Slack are refused beyond 300 s.", advice)


def judge_store_clock(skew: float) -> Result:
    """Our time minus the store's, in seconds, where the answer's own time is allowed for."""
    name = "store: clock"
    if abs(skew) <= STORE_CLOCK_GOOD:
        return ok(name, "The store's clock and this machine's agree.")
    return warn(
        name,
        f"The store's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} this "
        "machine's. xTool decides by the store's, so nothing is sent twice; one of them is wrong.",
        "Let both machines set their clocks by NTP.",
    )


def judge_access_point(name: str, found: DeliveryStatus) -> Result:
    """The answer to a question for a submission that does not exist: "not found" is right."""
    title, reason = f"access point ({name})", found.reason
    code = reason.code if reason else ""
    if code.endswith((".no_answer", ".unreachable")):
        return fail(
            title, f"{name} cannot be reached.", "Allow outgoing HTTPS to PEPPOL_API_URL's host."
        )
    if code.endswith((".unauthorized", ".forbidden", ".subscription", ".company", ".disabled")):
        return fail(
            title,
            f"{name} answers, but refuses the account ({code.rpartition('.')[2]}).",
            "Compare PEPPOL_API_KEY, PEPPOL_API_SECRET and PEPPOL_COMPANY_ID with the account.",
        )
    if code.endswith(".busy") or found.provider_status.startswith("5"):
        return warn(title, f"{name} has a problem right now.", "Try again later.")
    return ok(title, f"{name} answers and takes the credentials.")


def judge_dns(problem: str | None, mode: str) -> Result:
    """Whether the Peppol zone can be asked; `mode` is PEPPOL_LOOKUP."""
    if problem is None:
        return ok("receivers' look-up", "The Peppol network's DNS answers.")
    told = f"The Peppol network's DNS cannot be asked: {problem}."
    if mode == "auto":
        return warn(
            "receivers' look-up",
            f"{told} The access point is asked instead.",
            "Allow DNS to the public name servers to look receivers up in the network itself.",
        )
    return fail(
        "receivers' look-up", told, "Allow DNS, or set PEPPOL_LOOKUP to auto or access-point."
    )


def judge_lookup(found: Lookup, name: str) -> Result:
    """Whether the access point looks receivers up, with PEPPOL_LOOKUP=access-point."""
    if isinstance(found, LookupDown):
        return fail(
            "receivers' look-up",
            f"{name} cannot be asked for receivers.",
            "Try again later, or set PEPPOL_LOOKUP to auto.",
        )
    return ok("receivers' look-up", f"{name} answers.")


def judge_rules(found: RulesStatus, *, damaged: bool = False) -> Result:
    """Which rules judge a document before it is sent; `damaged`: they could not be loaded."""
    if damaged:
        return fail(
            "rules",
            "The official rules are here, but they are damaged; nothing can be judged.",
            f"Delete {found.directory} and run `xtool rules fetch`.",
        )
    if not found.available:
        return warn(
            "rules",
            f"The official rules are not complete (missing: {', '.join(found.missing)}); "
            "the built-in stand-in judges.",
            "Run `xtool rules fetch`.",
        )
    named = ", ".join(f"{name} {release}" for name, release in sorted(found.versions.items()))
    return ok("rules", f"The official rules are here: {named}.")


def judge_directory(path: Path, mode: int | None, *, owned: bool = True) -> Result:
    """The data directory: `mode` as in `st_mode`, None if it is not there; whose it is."""
    advice = "Set XTOOL_DATA_DIR to a directory of this user's, or correct its owner and mode."
    if mode is None:
        return ok("data directory", f"{path} is made at the first start.")
    if not owned:
        return fail("data directory", f"{path} belongs to another user.", advice)
    if stat.S_IMODE(mode) & 0o077:
        told = f"{path} is open to other users; the next start closes it."
        return warn("data directory", told, advice)
    return ok("data directory", f"{path} is open to this user only.")
