from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from sync import clock, doctor, doctor_checks
from sync.clock import Anchor
from sync.doctor import Check, Result, Status, examine, worst
from sync.documents.rules import RulesStatus
from sync.errors import ConfigurationError, Reason, StoreError
from sync.model import ParticipantId
from sync.peppol import naptr
from sync.peppol.access_point import (
    DeliveryState,
    DeliveryStatus,
    LookupDown,
    Registered,
    Webhook,
)
from sync.settings import Settings
from sync.store.redis import Clients, Durability
from sync.vault import Vault, remember

GOOD = Durability(
    "valkey 9", aof=True, aof_ok=True, fsync="everysec", waitaof=True, maxmemory_policy="noeviction"
)
CANARY = "c4nary-s3cret"


def check(name: str, *results: Result, error: BaseException | None = None) -> Check:
    async def run() -> Sequence[Result]:
        if error is not None:
            raise error
        return results

    return Check(name, run)


async def test_results_come_in_the_order_of_the_checks() -> None:
    async def slow() -> Sequence[Result]:
        await asyncio.sleep(0.05)
        return [doctor.ok("slow", "a")]

    found = await examine([Check("slow", slow), check("quick", doctor.ok("quick", "b"))])
    assert [result.name for result in found] == ["slow", "quick"]


async def test_a_check_that_hangs_is_a_failure_and_the_others_go_on() -> None:
    async def hang() -> Sequence[Result]:
        await asyncio.Event().wait()
        return []

    found = await examine([Check("hangs", hang), check("ok", doctor.ok("ok", "b"))], seconds=0.05)
    assert [(result.name, result.status) for result in found] == [
        ("hangs", Status.FAIL),
        ("ok", Status.OK),
    ]


async def test_what_a_check_raises_is_told_in_its_own_words() -> None:
    error = ConfigurationError("XTOOL_TAG is wrong", variable="XTOOL_TAG")
    (found,) = await examine([check("x", error=error)])
    assert (found.status, found.sentence) == (Status.FAIL, "XTOOL_TAG is wrong.")


async def test_a_store_that_is_not_there_is_told_with_the_setting() -> None:
    (found,) = await examine([check("store", error=StoreError("the store does not answer"))])
    assert "REDIS_URL" in found.advice


async def test_a_mistake_of_the_doctor_does_not_show_its_text() -> None:
    (found,) = await examine([check("x", error=KeyError(CANARY))])
    assert found.status is Status.FAIL
    assert CANARY not in str(found)


def test_the_worst_status_counts() -> None:
    fine, soso, bad = doctor.ok("", ""), doctor.warn("", "", "x"), doctor.fail("", "", "x")
    assert worst([]) is Status.OK
    assert worst([fine, soso, fine]) is Status.WARN
    assert worst([soso, bad, fine]) is Status.FAIL


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({}, "store", Status.OK),
        ({}, "store: append-only file", Status.OK),
        ({}, "store: power cut", Status.OK),
        ({}, "store: memory", Status.OK),
        ({"aof": False}, "store: append-only file", Status.FAIL),
        ({"aof_ok": False}, "store: append-only file", Status.FAIL),
        ({"waitaof": False}, "store: power cut", Status.WARN),
        ({"early": True}, "store: power cut", Status.WARN),
        ({"early": True, "fsync": "always"}, "store: power cut", Status.OK),
        ({"waitaof": False, "fsync": "always"}, "store: power cut", Status.OK),
        ({}, "store: fail-over", Status.OK),
        ({"replicas": 1}, "store: fail-over", Status.WARN),
        ({"replicas": 1, "min_replicas": 1}, "store: fail-over", Status.OK),
        ({"min_replicas": 1}, "store: fail-over", Status.FAIL),
        ({"maxmemory_policy": "allkeys-lru"}, "store: memory", Status.FAIL),
        ({"maxmemory_policy": ""}, "store: memory", Status.OK),
    ],
)
def test_the_stores_promises_are_judged(changes: dict[str, Any], name: str, status: Status) -> None:
    fields = {field: getattr(GOOD, field) for field in GOOD.__dataclass_fields__}
    found = {
        result.name: result for result in doctor.judge_durability(Durability(**fields | changes))
    }
    assert found[name].status is status
    assert bool(found[name].advice) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("http_status", "status"),
    [
        (401, Status.OK),
        (None, Status.FAIL),
        (200, Status.FAIL),
        (404, Status.FAIL),
        (429, Status.WARN),
        (503, Status.WARN),
    ],
)
def test_sevdesk_without_a_token_is_right_to_refuse(
    http_status: int | None, status: Status
) -> None:
    assert doctor.judge_sevdesk(http_status).status is status


@pytest.mark.parametrize(
    ("skew", "status"),
    [
        (0.0, Status.OK),
        (-29.0, Status.OK),
        (31.0, Status.WARN),
        (-240.0, Status.WARN),
        (241.0, Status.FAIL),
        (-100000.0, Status.FAIL),
        (None, Status.WARN),
    ],
)
def test_the_clock_is_judged_in_both_directions(skew: float | None, status: Status) -> None:
    assert doctor.judge_clock(skew).status is status


@pytest.mark.parametrize(
    ("skew", "status", "word"),
    [
        (0.0, Status.OK, "agree"),
        (5.0, Status.OK, "agree"),
        (5.1, Status.WARN, "5 s behind this machine's"),
        (-300.0, Status.WARN, "300 s ahead of this machine's"),
    ],
)
def test_the_store_s_clock_is_compared_with_this_machine_s(
    skew: float, status: Status, word: str
) -> None:
    found = doctor.judge_store_clock(skew)
    assert (found.status, word in found.sentence) == (status, True)


def test_a_wrong_clock_says_which_way() -> None:
    assert "60 s fast" in doctor.judge_clock(60).sentence
    assert "60 s slow" in doctor.judge_clock(-60).sentence


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("peppol.access_point.not_found", Status.OK),
        ("peppol.access_point.no_answer", Status.FAIL),
        ("peppol.access_point.unauthorized", Status.FAIL),
        ("peppol.access_point.forbidden", Status.FAIL),
        ("peppol.access_point.subscription", Status.FAIL),
        ("peppol.access_point.busy", Status.WARN),
    ],
)
def test_the_access_points_answer_is_judged(code: str, status: Status) -> None:
    found = DeliveryStatus(DeliveryState.UNKNOWN, "", Reason(code=code))
    assert doctor.judge_access_point("Recommand", found).status is status


def test_an_access_point_with_a_server_error_is_not_called_fine() -> None:
    reason = Reason(code="peppol.access_point.unclear_answer")
    found = DeliveryStatus(DeliveryState.UNKNOWN, "500", reason)
    assert doctor.judge_access_point("Recommand", found).status is Status.WARN


def test_dns_that_cannot_be_asked_is_worse_where_nobody_else_is_asked() -> None:
    assert doctor.judge_dns(None, "sml").status is Status.OK
    assert doctor.judge_dns("no name server", "auto").status is Status.WARN
    assert doctor.judge_dns("no name server", "sml").status is Status.FAIL


def test_a_look_up_at_the_access_point_is_judged() -> None:
    down = LookupDown(Reason(code="peppol.lookup.down"))
    assert doctor.judge_lookup(down, "Recommand").status is Status.FAIL
    assert doctor.judge_lookup(Registered(frozenset()), "Recommand").status is Status.OK


def test_the_rules_are_named_with_their_releases() -> None:
    there = RulesStatus(available=True, directory="x", versions={"peppol-bis": "2026.5"})
    missing = RulesStatus(available=False, directory="x", missing=("cen-ubl",), versions={})
    assert "peppol-bis 2026.5" in doctor.judge_rules(there).sentence
    assert doctor.judge_rules(missing).status is Status.WARN
    assert "cen-ubl" in doctor.judge_rules(missing).sentence


@pytest.mark.parametrize(
    ("mode", "owned", "status"),
    [
        (None, True, Status.OK),
        (0o40700, True, Status.OK),
        (0o40755, True, Status.WARN),
        (0o40700, False, Status.FAIL),
    ],
)
def test_the_data_directory_is_judged(mode: int | None, owned: bool, status: Status) -> None:
    assert doctor.judge_directory(Path("d"), mode, owned=owned).status is status


def test_older_keys_that_are_missing_are_counted() -> None:
    assert doctor.judge_keys(0).status is Status.OK
    assert "2 older" in doctor.judge_keys(2).sentence


# ---- the checks themselves --------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The doctor points this process to the rules of its settings; undo that after each test."""
    monkeypatch.setenv("EUINVOICE_ARTIFACTS_DIR", str(tmp_path / "rules"))


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    key = SecretStr("A" * 43 + "=")
    return Settings.load(
        data_dir=tmp_path,
        redis_url=SecretStr(redis_url),
        encryption_keys=key,
        sevdesk_api_url="https://sevdesk.test/api/v1",
    )


def answering(status: int, **headers: str) -> httpx.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        assert "authorization" not in request.headers
        return httpx.Response(status, headers=headers)

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_the_store_and_its_key_are_looked_at(settings: Settings) -> None:
    results = await doctor_checks._store(settings)
    # Whether the tests' server waits for its disk when it is asked to depends on its release.
    bad = {result.name for result in results if result.status is not Status.OK}
    assert bad <= {"store: power cut"}
    assert [result.name for result in results][-1] == "encryption key"


async def test_a_wrong_key_is_a_failure_beside_a_good_store(
    settings: Settings, clients: Clients
) -> None:
    await remember(clients, Vault([bytes([7]) * 32]))
    results = await doctor_checks._store(settings)
    assert [result.status for result in results if result.name == "encryption key"] == [Status.FAIL]
    assert results[0].status is Status.OK


async def test_without_redis_url_the_embedded_store_is_looked_at(tmp_path: Path) -> None:
    own = Settings.load(data_dir=tmp_path / "own", redis_url=None, encryption_keys=None)
    assert worst(await doctor_checks._store(own)) is Status.OK


async def test_a_store_that_is_away_does_not_show_its_url(settings: Settings) -> None:
    away = settings.model_copy(update={"redis_url": SecretStr(f"redis://:{CANARY}@127.0.0.1:1/0")})
    found = await examine([Check("store", lambda: doctor_checks._store(away))])
    assert worst(found) is Status.FAIL
    assert CANARY not in str(found)


async def test_sevdesk_tells_the_time(settings: Settings) -> None:
    late = format_datetime(datetime.now(UTC) - timedelta(minutes=10), usegmt=True)
    async with answering(401, date=late) as http:
        results = await doctor_checks._sevdesk(settings, http)
    assert [result.status for result in results] == [Status.OK, Status.FAIL]


async def test_an_answer_without_a_time_is_no_error(settings: Settings) -> None:
    async with answering(401, date="soon") as http:
        results = await doctor_checks._sevdesk(settings, http)
    assert [result.status for result in results] == [Status.OK, Status.WARN]


async def test_the_directory_is_looked_at_as_it_is(settings: Settings) -> None:
    os.chmod(settings.data_dir, 0o755)  # noqa: PTH101 - as an operator would
    (found,) = await doctor_checks._directory(settings)
    assert found.status is Status.WARN


class AccessPointStandIn:
    """Answers the two questions that the doctor asks."""

    def __init__(self) -> None:
        self.capabilities = SimpleNamespace(name="Recommand", webhook=Webhook.UNSIGNED)
        self.asked: list[str] = []

    async def status(self, provider_id: str) -> DeliveryStatus:
        self.asked.append(provider_id)
        reason = Reason(code="peppol.access_point.not_found")
        return DeliveryStatus(DeliveryState.UNKNOWN, "404", reason)

    async def lookup(self, participant: ParticipantId) -> Registered:
        self.asked.append(str(participant))
        return Registered(frozenset())


@pytest.fixture
def no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naptr, "system_resolver", lambda: None)


async def names_and_statuses(settings: Settings, access_point: Any) -> dict[str, Status]:
    async with answering(401, date=format_datetime(datetime.now(UTC), usegmt=True)) as http:
        found = await examine(doctor_checks.standard_checks(settings, http, access_point))
    return {result.name: result.status for result in found}


@pytest.mark.parametrize(
    ("kind", "secret", "status", "word"),
    [
        (Webhook.NONE, False, Status.OK, "has none"),
        (Webhook.UNSIGNED, False, Status.OK, "does not sign"),
        (Webhook.UNSIGNED, True, Status.WARN, "does not sign"),
        (Webhook.NONE, True, Status.WARN, "does not sign"),
        (Webhook.SIGNED, False, Status.OK, "PEPPOL_WEBHOOK_SECRET"),
        (Webhook.SIGNED, True, Status.OK, "/peppol/webhook"),
    ],
)
def test_webhooks_are_judged_by_what_the_access_point_can(
    kind: Webhook, secret: bool, status: Status, word: str
) -> None:
    found = doctor.judge_webhook("Provider", kind, secret=secret)
    assert found.status is status
    assert word in found.sentence


async def test_everything_is_looked_at(settings: Settings, no_dns: None) -> None:
    complete = {"peppol_api_key": SecretStr("k"), "peppol_api_secret": SecretStr("s")}
    ready = settings.model_copy(update={**complete, "peppol_company_id": "c"})
    access_point = AccessPointStandIn()
    found = await names_and_statuses(ready, access_point)
    assert access_point.asked == [doctor_checks.NO_SUBMISSION]
    for depends in ("rules", "store: power cut"):  # on what is installed, on the server's release
        assert found.pop(depends) in (Status.OK, Status.WARN)
    assert found == {
        "settings": Status.OK,
        "webhooks": Status.OK,
        "data directory": Status.OK,
        "store": Status.OK,
        "store: append-only file": Status.OK,
        "store: fail-over": Status.OK,
        "store: memory": Status.OK,
        "store: clock": Status.OK,
        "encryption key": Status.OK,
        "access point (Recommand)": Status.OK,
        "sevDesk": Status.OK,
        "clock": Status.OK,
        "receivers' look-up": Status.WARN,
    }


async def test_a_store_whose_clock_is_wrong_is_told(
    settings: Settings, no_dns: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(clients: Clients) -> Anchor:
        found = await clock.ask(clients)
        return Anchor(found.at, found.low - 90, found.high - 90)

    monkeypatch.setattr(doctor_checks, "ask", ask)
    found = await names_and_statuses(settings, AccessPointStandIn())
    assert (found["store: clock"], found["clock"]) == (Status.WARN, Status.OK)


async def test_without_credentials_the_access_point_is_not_asked(
    settings: Settings, no_dns: None
) -> None:
    access_point = AccessPointStandIn()
    found = await names_and_statuses(settings, access_point)
    assert access_point.asked == []
    assert found["settings"] is Status.FAIL


async def test_the_access_point_is_asked_for_receivers_where_that_is_set(
    settings: Settings,
) -> None:
    access_point = AccessPointStandIn()
    found = await names_and_statuses(
        settings.model_copy(update={"peppol_lookup": "access-point"}), access_point
    )
    assert access_point.asked == [str(doctor_checks.NOBODY)]
    assert found["receivers' look-up"] is Status.OK
