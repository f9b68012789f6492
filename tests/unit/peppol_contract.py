"""Checks recorded HTTP against an OpenAPI document: paths, parameters, bodies, statuses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml
from httpx_aiohttp import AiohttpTransport
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    query: dict[str, str]
    request_headers: httpx.Headers
    request_body: bytes
    status: int = 0
    body: bytes = b""


@dataclass
class Recorder(httpx.AsyncBaseTransport):
    """A transport that remembers what went through it."""

    exchanges: list[Exchange] = field(default_factory=list)
    inner: AiohttpTransport = field(default_factory=AiohttpTransport)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        url = urlsplit(str(request.url))
        exchange = Exchange(
            request.method, url.path, dict(request.url.params), request.headers, body
        )
        self.exchanges.append(exchange)
        response = await self.inner.handle_async_request(request)
        exchange.status, exchange.body = response.status_code, await response.aread()
        return httpx.Response(exchange.status, headers=response.headers, content=exchange.body)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Contract:
    """An OpenAPI document."""

    def __init__(self, path: Path, base_path: str = "") -> None:
        self.document = yaml.safe_load(path.read_text("utf-8"))
        self.base_path = base_path
        resource = DRAFT202012.create_resource(self.document)
        self.registry: Registry = Registry().with_resource("urn:openapi", resource)

    def problems(self, exchange: Exchange) -> Iterator[str]:
        """What the document does not allow."""
        operation = self.operation(exchange)
        where = f"{exchange.method} {exchange.path}"
        if operation is None:
            yield f"{where}: not in the document"
            return
        yield from (f"{where}: {one}" for one in self._parameters(operation, exchange))
        yield from (f"{where}: {one}" for one in self._request(operation, exchange))
        yield from (f"{where}: {one}" for one in self._response(operation, exchange))

    def operation(self, exchange: Exchange) -> dict[str, Any] | None:
        path = exchange.path.removeprefix(self.base_path)
        matches = [
            (template.count("{"), operations[exchange.method.lower()])
            for template, operations in self.document["paths"].items()
            if exchange.method.lower() in operations
            and re.fullmatch(re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template)), path)
        ]
        return min(matches, key=lambda one: one[0])[1] if matches else None

    def _parameters(self, operation: dict[str, Any], exchange: Exchange) -> Iterator[str]:
        declared = {
            one["name"]: one for one in operation.get("parameters", []) if one["in"] == "query"
        }
        if "parameters" not in operation:  # Recommand's are named in a sentence
            named = re.findall(r"[a-zA-Z]+", operation.get("description", ""))
            declared = {name: {} for name in named}
        yield from (f"{name} is no parameter" for name in exchange.query if name not in declared)
        for name, one in declared.items():
            if one.get("required") and name not in exchange.query:
                yield f"{name} is missing"

    def _request(self, operation: dict[str, Any], exchange: Exchange) -> Iterator[str]:
        content = operation.get("requestBody", {}).get("content", {})
        sent = exchange.request_headers.get("content-type", "").partition(";")[0]
        if not content:
            return
        if sent not in content:
            yield f"content type {sent!r} is not among {list(content)}"
        elif sent == "application/json":
            yield from self._errors(content[sent].get("schema"), json.loads(exchange.request_body))
        elif sent == "multipart/form-data":
            fields = dict.fromkeys(_fields(exchange), "x")
            yield from self._errors(content[sent].get("schema"), fields)

    def _response(self, operation: dict[str, Any], exchange: Exchange) -> Iterator[str]:
        responses = operation.get("responses")
        if responses is None:
            return
        if str(exchange.status) not in responses:
            yield f"status {exchange.status} is not among {list(responses)}"
            return
        schema = (
            responses[str(exchange.status)]
            .get("content", {})
            .get("application/json", {})
            .get("schema")
        )
        yield from self._errors(schema, json.loads(exchange.body or b"null"))

    def _errors(self, schema: dict[str, Any] | None, instance: Any) -> Iterator[str]:
        if schema is None:
            return
        text = json.dumps(schema).replace('"#/components', '"urn:openapi#/components')
        validator = Draft202012Validator(json.loads(text), registry=self.registry)
        yield from (error.message[:200] for error in validator.iter_errors(instance))


def _fields(exchange: Exchange) -> list[str]:
    head = f"Content-Type: {exchange.request_headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + exchange.request_body)
    return [str(part.get_param("name", header="content-disposition"))
            for part in message.walk() if not part.is_multipart()]  # fmt: skip
