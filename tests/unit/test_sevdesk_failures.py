"""What the sevDesk client does when something fails."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from sync.errors import Kind, StoreError
from sync.sevdesk import SevdeskClient, build_http, errors, wire
from sync.sevdesk import client as client_module
from tests.sandbox.sevdesk import OPEN, Drop, Fault, outage, rate_limited
from tests.sandbox.sevdesk.calls import ApiError
from tests.unit.sevdesk_support import TOKEN, World, world

__all__ = ["world"]


# --- failures ---


async def test_wrong_token(world: World) -> None:
    with pytest.raises(errors.UnauthorizedError) as caught:
        await world.client("f" * 32).tags()
    assert caught.value.reason.code == "sevdesk.unauthorized"


async def test_no_permission(world: World) -> None:
    world.account.downgrade()
    with pytest.raises(errors.ForbiddenError):
        await world.client().tags()


async def test_rate_limit_carries_its_seconds(world: World) -> None:
    world.sevdesk.inject(rate_limited("7"))
    with pytest.raises(errors.RateLimitedError) as caught:
        await world.client().tags()
    assert caught.value.retry_after == 7


async def test_rate_limit_carries_its_date(world: World) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    world.sevdesk.inject(rate_limited(format_datetime(moment, usegmt=True)))
    with pytest.raises(errors.RateLimitedError) as caught:
        await world.client().tags()
    assert caught.value.retry_after == pytest.approx(90, abs=5)


async def test_a_rate_limit_is_not_repeated_here(world: World) -> None:
    world.sevdesk.inject(rate_limited("1"))
    with pytest.raises(errors.RateLimitedError):
        await world.client().tags()
    assert len(world.sevdesk.log) == 1


class Hold:
    """A pace that notes what it was told to hold."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def holding(world: World) -> tuple[SevdeskClient, Hold]:
    """A client that tells its pace of a 429."""
    hold = Hold()
    return SevdeskClient(world.http, world.sevdesk.base_url, TOKEN, world.pace, hold=hold), hold


async def test_a_list_goes_on_after_a_rate_limit_that_the_pace_was_told_of(world: World) -> None:
    contact = world.account.add_contact("Kunde")
    for _ in range(1500):
        world.account.add_invoice(contact)
    limited = rate_limited("3", times=2)
    limited.skip = 1
    world.sevdesk.inject(limited)
    sevdesk, hold = holding(world)
    assert len((await sevdesk.invoices(OPEN)).rows) == 1500
    assert (hold.seconds, len(world.sevdesk.log)) == ([3.0, 3.0], 4)


async def test_a_rate_limit_without_a_time_holds_for_a_second(world: World) -> None:
    world.sevdesk.inject(rate_limited(""))
    sevdesk, hold = holding(world)
    await sevdesk.tags()
    assert hold.seconds == [1.0]


async def test_a_long_rate_limit_is_left_to_the_caller(world: World) -> None:
    world.sevdesk.inject(rate_limited("60"))
    sevdesk, hold = holding(world)
    with pytest.raises(errors.RateLimitedError):
        await sevdesk.tags()
    assert (hold.seconds, len(world.sevdesk.log)) == ([], 1)


async def test_a_rate_limited_write_is_not_repeated(world: World) -> None:
    world.sevdesk.inject(rate_limited("1"))
    sevdesk, _ = holding(world)
    with pytest.raises(errors.RateLimitedError):
        await sevdesk.add_tag("7", "xTool-Uploaded")
    assert len(world.sevdesk.log) == 1


async def test_a_broken_pace_is_not_hidden(world: World) -> None:
    async def broken() -> None:
        raise StoreError("gone")

    sevdesk = SevdeskClient(world.http, world.sevdesk.base_url, TOKEN, broken)
    with pytest.raises(StoreError):
        await sevdesk.tags()


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_short_outage_is_repeated(world: World, status: int) -> None:
    world.sevdesk.inject(outage(status, times=2))
    assert (await world.client().tags()).rows == ()
    assert world.paced == 3


async def test_a_longer_outage_is_an_error(world: World) -> None:
    world.sevdesk.inject(outage(503, times=9))
    with pytest.raises(errors.UnavailableError) as caught:
        await world.client().tags()
    assert (caught.value.kind, len(world.sevdesk.log)) == (Kind.TRANSIENT, 3)


async def test_an_outage_with_a_time_is_not_repeated_before_it(world: World) -> None:
    fault = outage(503)
    fault.headers = {"Retry-After": "30"}
    world.sevdesk.inject(fault)
    with pytest.raises(errors.UnavailableError) as caught:
        await world.client().tags()
    assert (caught.value.retry_after, len(world.sevdesk.log)) == (30, 1)


@pytest.mark.parametrize("drop", [Drop.BEFORE, Drop.MID_BODY])
async def test_a_lost_connection_is_repeated_for_reading(world: World, drop: Drop) -> None:
    world.sevdesk.inject(Fault(drop=drop, times=2))
    assert (await world.client().tags()).rows == ()
    assert len(world.sevdesk.log) == 3


@pytest.mark.parametrize("drop", list(Drop))
@pytest.mark.parametrize("write", ["add", "remove"])
async def test_a_lost_answer_to_a_write_is_unknown_and_not_repeated(
    world: World, drop: Drop, write: str
) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    relation = world.account.tag("Invoice", made.id, "xTool-Uploaded")
    sevdesk = world.client()
    await sevdesk.tags()  # the connection is now kept alive, where aiohttp would repeat
    world.sevdesk.inject(Fault("POST|DELETE", drop=drop))
    call = (
        sevdesk.add_tag(made.id, "xTool-Peppol-Sent")
        if write == "add"
        else sevdesk.remove_tag_relation(relation.id)
    )
    with pytest.raises(errors.WriteUnconfirmedError) as caught:
        await call
    assert caught.value.kind is Kind.UNKNOWN
    assert len(world.sevdesk.calls("POST|DELETE")) == 1


@pytest.mark.parametrize("status", [400, 500, 503])
async def test_an_error_status_on_a_write_is_unknown(world: World, status: int) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    world.sevdesk.inject(Fault("POST", status=status, body=b"{}", applied=True))
    with pytest.raises(errors.WriteUnconfirmedError):
        await world.client().add_tag(made.id, "xTool-Uploaded")
    assert world.account.tags_of(made) == ["xTool-Uploaded"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"objects":{"id":"1"}}', b"\x1f\x8bx", b"<html>"])
async def test_a_senseless_answer_to_a_write_is_unknown(world: World, body: bytes) -> None:
    world.sevdesk.inject(Fault("POST", status=200, body=body))
    with pytest.raises(errors.WriteUnconfirmedError):
        await world.client().add_tag("7", "xTool-Uploaded")


async def test_a_refused_connection_on_a_write_is_known_not_to_have_happened(world: World) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    sevdesk = SevdeskClient(world.http, url, TOKEN, world.pace)
    with pytest.raises(errors.UnavailableError) as caught:
        await sevdesk.add_tag("7", "xTool-Uploaded")
    assert caught.value.kind is Kind.TRANSIENT


async def test_tagging_an_unknown_invoice_is_definite(world: World) -> None:
    with pytest.raises(errors.NotFoundError):
        await world.client().add_tag("7", "xTool-Uploaded")


@pytest.mark.parametrize(
    ("status", "message", "expected", "kind"),
    [
        (400, "This invoice is not an electronic invoice", errors.NotAnEInvoiceError,
         Kind.PERMANENT),
        (400, "Invoice is locked", errors.XmlRefusedError, Kind.PERMANENT),
        (500, "Missing iban and bic", errors.IncompleteEInvoiceError, Kind.PRECONDITION),
        (503, "Invoice number is required", errors.IncompleteEInvoiceError, Kind.PRECONDITION),
        (503, "Exception when requesting invoices service", errors.XmlRefusedError,
         Kind.TRANSIENT),
    ],
)  # fmt: skip
async def test_getxml_errors_speak_about_the_invoice(
    world: World, status: int, message: str, expected: type[errors.SevdeskError], kind: Kind
) -> None:
    made = world.account.add_invoice(
        world.account.add_contact("Kunde"), xml_error=(status, message)
    )
    with pytest.raises(expected) as caught:
        await world.client().xml(made.id)
    assert (caught.value.kind, len(world.sevdesk.log)) == (kind, 1)


async def test_getxml_outage_page_speaks_about_sevdesk(world: World) -> None:
    world.sevdesk.inject(outage(503, times=9, path="getXml"))
    with pytest.raises(errors.UnavailableError):
        await world.client().xml("7")


async def test_missing_fields_are_named(world: World) -> None:
    body = ApiError(
        400, "Could not generate", 830, {"missing information": ["document_addressCity", "bic"]}
    ).body
    world.sevdesk.inject(Fault(path="getXml", status=400, body=_json(body)))
    with pytest.raises(errors.IncompleteEInvoiceError) as caught:
        await world.client().xml("7")
    assert caught.value.params["missing"] == "document_addressCity, bic"


def _json(payload: object) -> bytes:
    return web.json_response(payload).body  # type: ignore[return-value]


async def test_an_error_inside_http_200_is_an_error(world: World) -> None:
    body = b'{"error":{"message":"partly paid","code":390}}'
    world.sevdesk.inject(Fault(status=200, body=body))
    with pytest.raises(errors.RefusedError) as caught:
        await world.client().tags()
    assert caught.value.params["message"] == "partly paid"


@pytest.mark.parametrize("body", [b"", b'{"objects":[', b"null", b"[NaN]", b"[" * 100_000, b"7"])
async def test_a_senseless_body_is_a_bad_answer(world: World, body: bytes) -> None:
    world.sevdesk.inject(Fault(status=200, body=body))
    with pytest.raises(errors.BadAnswerError):
        await world.client().tags()


async def test_a_body_without_end_is_given_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LIST_BYTES", 1000)
    world.sevdesk.inject(Fault(status=200, body=b"[" + b" " * 5_000_000 + b"]"))
    with pytest.raises(errors.AnswerTooLargeError):
        await world.client().tags()


async def test_an_endless_body_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b" " * 65536)
                await writer.drain()

    monkeypatch.setattr(wire, "LIST_BYTES", 1_000_000)
    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sevdesk = SevdeskClient(world.http, url, TOKEN, world.pace)
        with pytest.raises(errors.AnswerTooLargeError):
            await sevdesk.tags()


async def test_no_repeat_is_begun_late(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REPEAT_SECONDS", -1.0)
    world.sevdesk.inject(outage(503, times=9))
    with pytest.raises(errors.UnavailableError):
        await world.client().tags()
    assert len(world.sevdesk.log) == 1


async def test_an_account_without_the_api_is_forbidden_not_unknown(world: World) -> None:
    world.account.downgrade()
    with pytest.raises(errors.ForbiddenError):
        await world.client().account()


async def test_a_gzip_bomb_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIST_BYTES", 100_000)
    bomb = gzip.compress(b" " * 50_000_000)
    world.sevdesk.inject(Fault(status=200, body=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(errors.AnswerTooLargeError):
        await world.client().tags()


async def test_gzip_is_understood(world: World) -> None:
    body = gzip.compress(b'{"objects":[{"id":"5","name":"xTool"}]}')
    world.sevdesk.inject(Fault(status=200, body=body, headers={"Content-Encoding": "gzip"}))
    assert [tag.id for tag in (await world.client().tags()).rows] == ["5"]


async def test_a_redirect_is_refused(world: World) -> None:
    world.sevdesk.inject(Fault(status=302, headers={"Location": "/api/v1/Tag"}))
    with pytest.raises(errors.WrongAddressError):
        await world.client().tags()
    assert len(world.sevdesk.log) == 1


async def test_an_html_404_means_a_wrong_address(world: World) -> None:
    fault = outage(404)
    world.sevdesk.inject(fault)
    with pytest.raises(errors.WrongAddressError) as caught:
        await world.client().tags()
    assert caught.value.kind is Kind.PRECONDITION


async def test_a_silent_server_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 0.05)
    world.sevdesk.inject(Fault(delay=5.0, times=9))
    with pytest.raises(errors.UnavailableError):
        await world.client().tags()


async def test_a_silent_server_leaves_a_write_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "REQUEST_SECONDS", 0.05)
    world.sevdesk.inject(Fault(delay=5.0))
    with pytest.raises(errors.WriteUnconfirmedError):
        await world.client().add_tag("7", "xTool-Uploaded")


async def test_cancelling_is_not_swallowed(world: World) -> None:
    world.sevdesk.inject(Fault(delay=5.0))
    task = asyncio.create_task(world.client().tags())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_every_request_is_paced(world: World) -> None:
    sevdesk = world.client()
    await sevdesk.tags()
    await sevdesk.invoices(OPEN)
    assert world.paced == len(world.sevdesk.log) == 2


async def test_no_cookie_travels_between_accounts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []
    fault = Fault(status=200, body=b"[]", headers={"Set-Cookie": "PHPSESSID=1; Path=/"})
    world.sevdesk.inject(fault)
    perform = world.sevdesk._perform

    async def noting(request: web.Request, path: str) -> tuple[int, bytes]:
        seen.append(request.headers.get("Cookie"))
        return await perform(request, path)

    monkeypatch.setattr(world.sevdesk, "_perform", noting)
    sevdesk = world.client()
    await sevdesk.tags()
    await sevdesk.tags()
    assert (fault.hits, seen) == (1, [None])


async def test_proxies_of_the_environment_are_not_used(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    async with build_http() as http:
        sevdesk = SevdeskClient(http, world.sevdesk.base_url, TOKEN, world.pace)
        assert await sevdesk.bookkeeping_version() == "2.0"
