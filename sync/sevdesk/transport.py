"""The process's HTTP client, and what may be believed of its errors.

httpx-aiohttp 0.2 reports a refused connection and a connection that was closed after the request
had left both as `httpx.ConnectTimeout`, and lets some aiohttp errors through whose `repr` shows the
request's headers and with them the token (both measured). `HonestTransport` puts that right:
`httpx.ConnectError` means that nothing left, `httpx.ReadError` that something may have, and no
error holds more than the name of the one below.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from sync.sevdesk.errors import TokenMalformedError

USER_AGENT: Final = "xTool for Slack"  # sevDesk asks for an integration's name
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0  # between two pieces of an answer
_NEVER_LEFT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_ERRORS: Final = (httpx.TransportError, aiohttp.ClientError, OSError, TimeoutError)


def _honest(error: BaseException) -> httpx.TransportError:
    """What an error of httpx-aiohttp or aiohttp means."""
    below = error if isinstance(error, aiohttp.ClientError) else error.__cause__ or error
    name = type(below).__name__
    return httpx.ConnectError(name) if isinstance(below, _NEVER_LEFT) else httpx.ReadError(name)


class _HonestStream(httpx.AsyncByteStream):
    """An answer's body; an error in it comes from after the request."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._inner:
                yield piece
            return
        except _ERRORS as error:
            name = type(error.__cause__ or error).__name__
        raise httpx.ReadError(name)

    async def aclose(self) -> None:
        await self._inner.aclose()


class HonestTransport(AiohttpTransport):
    """aiohttp's transport with errors that can be believed and shown."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises `httpx.ConnectError` when nothing left, `httpx.ReadError` when something may have.
        """
        try:
            response = await super().handle_async_request(request)
        except _ERRORS as error:
            failure = _honest(error)
        else:
            if isinstance(response.stream, httpx.AsyncByteStream):
                response.stream = _HonestStream(response.stream)
            return response
        # Outside of `except`, so that the error below is not its context either.
        raise failure


def build_http() -> httpx.AsyncClient:
    """The process's HTTP client: no redirects, proxies, cookies, netrc or repeats of its own.

    Cookies are refused twice (httpx's jar and aiohttp's): sevDesk's session cookie must not
    travel from one organisation's request into another's.
    """
    context = httpx.create_ssl_context()

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=100, ssl=context, keepalive_timeout=20)
        made = aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        # aiohttp repeats GET, PUT and DELETE once after a lost connection; there is no public
        # switch, aiohttp's own test client sets this attribute too.
        made._retry_connection = False  # noqa: SLF001
        return made

    return httpx.AsyncClient(
        transport=HonestTransport(verify=context, client=session),
        timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        follow_redirects=False,
        trust_env=False,
    )


def is_token(text: str) -> bool:
    """Whether it can be a token at all; sevDesk's are 32 hex digits, which is not insisted on."""
    return 8 <= len(text) <= 256 and text.isascii() and text.isprintable() and " " not in text


class TokenAuth(httpx.Auth):
    """Puts the token into the header, so that no frame of ours has it in a local variable."""

    def __init__(self, token: str) -> None:
        if not is_token(token):
            raise TokenMalformedError("not a token")
        self._token = token

    def __repr__(self) -> str:
        return "<token>"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        request.headers["Authorization"] = self._token
        yield request

    def blank(self, body: bytes) -> bytes:
        """The body without the token, should sevDesk ever quote it."""
        return body.replace(self._token.encode(), b"***")
