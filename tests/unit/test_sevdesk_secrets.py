"""The sevDesk token never shows, whatever fails."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from sync.sevdesk import SevdeskClient, errors
from tests.sandbox.sevdesk import Drop, Fault
from tests.unit.sevdesk_support import TOKEN, World, world

__all__ = ["world"]


@pytest.mark.parametrize("token", ["", "short", "x" * 300, "mit leerzeichen drin", "ümläut-token"])
def test_a_senseless_token_is_refused_without_being_quoted(world: World, token: str) -> None:
    with pytest.raises(errors.TokenMalformedError) as caught:
        world.client(token)
    assert token == "" or token not in "".join(traceback.format_exception(caught.value))


def test_nothing_that_holds_the_token_shows_it(world: World) -> None:
    sevdesk = world.client()
    assert TOKEN not in repr(sevdesk) + repr(sevdesk._auth) + repr([sevdesk._auth])


FAULTS = [
    Fault(status=401, body=f'{{"status":401,"message":"no {TOKEN}"}}'.encode()),
    Fault(status=403, body=f'{{"error":{{"message":"no {TOKEN}"}}}}'.encode()),
    Fault(status=200, body=f'{{"error":{{"message":"no {TOKEN}"}}}}'.encode()),
    Fault(status=500, body=TOKEN.encode(), times=9),
    Fault(status=200, body=f"not json {TOKEN}".encode()),
    Fault(status=302, headers={"Location": f"/?token={TOKEN}"}),
    Fault(drop=Drop.BEFORE, times=9),
    Fault(drop=Drop.MID_BODY, times=9),
]


@pytest.mark.parametrize("number", range(len(FAULTS)))
@pytest.mark.parametrize("call", ["read", "write", "xml"])
async def test_the_token_never_appears(
    world: World, caplog: pytest.LogCaptureFixture, number: int, call: str
) -> None:
    fault = FAULTS[number]
    caplog.set_level(logging.DEBUG)
    world.sevdesk.inject(
        Fault(status=fault.status, body=fault.body, headers=fault.headers, drop=fault.drop, times=9)
    )
    sevdesk = world.client()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "read": sevdesk.tags,
        "write": lambda: sevdesk.add_tag("7", "x"),
        "xml": lambda: sevdesk.xml("7"),
    }
    with pytest.raises(errors.SevdeskError) as caught:
        await calls[call]()
    error = caught.value
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next  # without this function's own locals
    shown = [
        *traceback.TracebackException.from_exception(error, capture_locals=True).format(),
        repr(error), str(error), error.reason.model_dump_json(), repr(sevdesk), repr(vars(error)),
        caplog.text, *(repr(chained) for chained in _chain(error)),
    ]  # fmt: skip
    assert TOKEN not in "\n".join(shown)


def _chain(error: BaseException | None) -> list[BaseException]:
    chained = []
    while error is not None:
        chained.append(error)
        error = error.__cause__ or error.__context__
    return chained


async def test_a_malformed_http_answer_does_not_quote_the_token(world: World) -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 abc nonsense\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        sevdesk = SevdeskClient(world.http, url, TOKEN, world.pace, retry_wait=0.001)
        with pytest.raises(errors.UnavailableError) as caught:
            await sevdesk.tags()
    assert not any(isinstance(one, aiohttp.ClientError) for one in _chain(caught.value))
    assert TOKEN not in "".join(map(repr, _chain(caught.value)))


async def test_the_log_of_the_stand_in_holds_no_token(world: World) -> None:
    await world.client().tags()
    assert TOKEN not in repr(world.sevdesk.log)
