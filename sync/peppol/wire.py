"""HTTP as access points need it: one request, no repetition, no redirect, a bounded answer.

What became of a request that failed is not read from the exception: the aiohttp transport calls
a connection that died after the body was sent a connect timeout too. `transfer` sends the body
itself and so knows whether a byte of it left.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import httpx

from sync.peppol.access_point import Guard

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""An access point's answer is a report of some kilobytes, or a document of ours that it gives
back; more than this is not read."""

SUBMIT_SECONDS: Final = 30.0
"""One submission in all. Recommand and phoss-ap answer only after the AS4 exchange."""

ASK_SECONDS: Final = 20.0

CONNECT_SECONDS: Final = 10.0

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}

TRANSPORT_ERRORS: Final = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    aiohttp.ClientError,  # the transport passes some on as they are, request headers included
    OSError,
    ValueError,
)
"""What httpx on aiohttp raises for a request without an answer."""


class NoAnswerError(Exception):
    """There is no answer. `sent`: at least a part of the request's body left."""

    def __init__(self, *, sent: bool) -> None:
        """No detail: a library's message may hold a URL or a header."""
        super().__init__("no answer")
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end. `body` is None if it was too long."""

    status: int
    headers: httpx.Headers = field(repr=False)
    body: bytes | None = field(repr=False)

    @property
    def ok(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def retry_after(self) -> float | None:
        """Seconds of `Retry-After`, at most an hour; dates and nonsense are ignored."""
        text = self.headers.get("retry-after", "").strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            return None
        return min(float(text), 3600.0)

    def json(self) -> Any:
        """The body as JSON, or None if it is not."""
        try:
            return json.loads(self.body or b"")
        except (ValueError, RecursionError):
            return None

    def record(self) -> dict[str, Any]:
        """The body as a JSON object, or an empty one if it is not."""
        data = self.json()
        return data if isinstance(data, dict) else {}


class Wire:
    """One account's HTTP: base URL and credentials, over a client that all accounts share."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        auth: Mapping[str, str],
        submit_seconds: float = SUBMIT_SECONDS,
        ask_seconds: float = ASK_SECONDS,
    ) -> None:
        """`auth` are the headers that carry the credentials; they are never shown."""
        self._client = client
        self._url = url.rstrip("/")
        self._auth = dict(auth)
        self.submit_seconds = submit_seconds
        self._ask_seconds = ask_seconds

    def __repr__(self) -> str:
        """Without the credentials."""
        return f"Wire({self._url!r})"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content: bytes | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """A request that hands nothing over. `body` goes as JSON, `content` as it is.

        Raises `NoAnswerError`.
        """
        if body is not None:
            content = json.dumps(body).encode()
        request = self._request(method, path, params, content)
        if content is not None:
            request.headers["content-type"] = content_type
        try:
            return await self._exchange(request, self._ask_seconds)
        except TRANSPORT_ERRORS:
            raise NoAnswerError(sent=content is not None) from None

    async def transfer(
        self,
        path: str,
        body: bytes,
        content_type: str,
        guard: Guard,
        *,
        params: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """POST `body`, once; `guard` is called when the connection stands and no byte has left.

        Raises `NoAnswerError`, or what `guard` raises: then nothing left.
        """
        outgoing = _Outgoing(body, guard)
        request = self._request("POST", path, params, outgoing.chunks())
        request.headers["content-length"] = str(len(body))
        request.headers.pop("transfer-encoding", None)
        if content_type:
            request.headers["content-type"] = content_type
        try:
            answer = await self._exchange(request, seconds or self.submit_seconds)
        except Exception:  # noqa: BLE001 - whatever a library raises, the document may have left
            outgoing.raise_refusal()
            raise NoAnswerError(sent=outgoing.started) from None
        outgoing.raise_refusal()
        return answer

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        content: bytes | AsyncIterator[bytes] | None,
    ) -> httpx.Request:
        timeout = httpx.Timeout(self.submit_seconds, connect=CONNECT_SECONDS)
        return self._client.build_request(
            method,
            self._url + path,
            params=params,
            content=content,
            headers={**_HEADERS, **self._auth},
            timeout=timeout,
        )

    async def _exchange(self, request: httpx.Request, seconds: float) -> Answer:
        async with asyncio.timeout(seconds):
            response = await self._client.send(
                request, auth=None, follow_redirects=False, stream=True
            )
            try:
                body = await _bounded_body(response)
            finally:
                await response.aclose()
        return Answer(response.status_code, response.headers, body)


class _Outgoing:
    """A request body that asks its guard before it gives the first byte away."""

    def __init__(self, body: bytes, guard: Guard) -> None:
        self._body = body
        self._guard = guard
        self._refusal: Exception | None = None
        self.started = False

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            self._guard()
        except Exception as error:
            self._refusal = error
            raise
        self.started = True
        yield self._body

    def raise_refusal(self) -> None:
        if self._refusal is not None:
            raise self._refusal


async def _bounded_body(response: httpx.Response) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
