"""Each request the client can make, held against sevDesk's official OpenAPI document."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import jsonschema
import pytest
import yaml

from sync.sevdesk import SevdeskClient, wire
from sync.sevdesk.errors import AccountUnknownError
from sync.sevdesk.wire import Request
from tests.spec import spec_path
from tests.unit.sevdesk_support import World, world

__all__ = ["world"]


@pytest.fixture(scope="session")
def openapi() -> dict[str, Any]:
    """The official document; the tests are skipped without it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with spec_path("sevdesk/openapi.yaml").open(encoding="utf-8") as file:
        document: dict[str, Any] = yaml.load(file, Loader=loader)
    return document


CALLS: dict[str, Callable[[SevdeskClient, Any], Awaitable[object]]] = {
    "bookkeeping_version": lambda sevdesk, made: sevdesk.bookkeeping_version(),
    "tags": lambda sevdesk, made: sevdesk.tags(),
    "tag_relations": lambda sevdesk, made: sevdesk.tag_relations(),
    "invoices": lambda sevdesk, made: sevdesk.invoices(750),
    "invoice": lambda sevdesk, made: sevdesk.invoice(made.id),
    "contact": lambda sevdesk, made: sevdesk.contact(made.contact),
    "contacts": lambda sevdesk, made: sevdesk.contacts(),
    "custom_field_settings": lambda sevdesk, made: sevdesk.custom_field_settings(),
    "custom_fields": lambda sevdesk, made: sevdesk.custom_fields(),
    "xml": lambda sevdesk, made: sevdesk.xml(made.id),
    "pdf": lambda sevdesk, made: sevdesk.pdf(made.id),
    "add_tag": lambda sevdesk, made: sevdesk.add_tag(made.id, "xTool-Uploaded"),
    "remove_tag_relation": lambda sevdesk, made: sevdesk.remove_tag_relation("1"),
}


def test_every_call_of_the_client_is_covered() -> None:
    public = {
        name
        for name, member in inspect.getmembers(SevdeskClient, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert public == {*CALLS, "account"}


@pytest.fixture
async def requests(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """All requests that the client can make, seen on their way."""
    seen: list[Request] = []
    answer = SevdeskClient._answer

    async def noting(self: SevdeskClient, request: Request) -> wire.Answer:
        seen.append(request)
        return await answer(self, request)

    monkeypatch.setattr(SevdeskClient, "_answer", noting)
    sevdesk = world.client()
    world.sevdesk.client_status = world.sevdesk.user_status = 404
    with pytest.raises(AccountUnknownError):  # asks every source there is
        await sevdesk.account()
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    for call in CALLS.values():
        await call(sevdesk, made)
    return seen


def _operation(openapi: dict[str, Any], request: Request) -> dict[str, Any] | None:
    paths: dict[str, dict[str, Any]] = openapi["paths"]
    return paths.get(request.template, {}).get(request.method.lower())


def _parameters(openapi: dict[str, Any], request: Request, place: str) -> dict[str, Any]:
    operation = _operation(openapi, request) or {}
    listed = (p for p in operation.get("parameters", []) if p.get("in") == place)
    return {parameter["name"]: parameter for parameter in listed}


async def test_undocumented_calls_are_exactly_those_that_the_module_lists(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    missing = {(r.method, r.template) for r in requests if _operation(openapi, r) is None}
    assert missing == wire.UNDOCUMENTED


async def test_undocumented_query_names_are_exactly_those_that_the_module_lists(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    unknown = {
        name
        for request in requests
        for name, _ in request.query
        if name not in _parameters(openapi, request, "query")
    }
    assert unknown == wire.UNDOCUMENTED_QUERY


async def test_limit_offset_and_embed_are_in_the_prose(openapi: dict[str, Any]) -> None:
    prose = openapi["info"]["description"]
    assert {name for name in wire.UNDOCUMENTED_QUERY if name in prose} == wire.UNDOCUMENTED_QUERY


async def test_path_parameters_are_those_of_the_document(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    for request in requests:
        if _operation(openapi, request) is not None:
            assert {n for n, _ in request.ids} == set(_parameters(openapi, request, "path"))


async def test_path_values_are_integers_as_the_document_asks(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    for request in requests:
        for name, parameter in _parameters(openapi, request, "path").items():
            value: Any = dict(request.ids)[name]
            jsonschema.validate(int(value), parameter["schema"])


async def test_bodies_fit_the_documents_schemas(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    with_body = [(request, request.body) for request in requests if request.body is not None]
    for request, body in with_body:
        operation = _operation(openapi, request)
        assert operation is not None
        content = operation["requestBody"]["content"]
        jsonschema.validate(dict(body), content["application/json"]["schema"])
    assert [request.template for request, _ in with_body] == ["/Tag/Factory/create"]


async def test_the_token_goes_where_the_document_says(openapi: dict[str, Any]) -> None:
    scheme = openapi["components"]["securitySchemes"]["api_key"]
    assert (scheme["type"], scheme["name"], scheme["in"]) == ("apiKey", "Authorization", "header")


async def test_required_query_parameters_are_sent(
    openapi: dict[str, Any], requests: list[Request]
) -> None:
    for request in requests:
        listed = _parameters(openapi, request, "query").items()
        required = {name for name, parameter in listed if parameter.get("required")}
        assert required <= {name for name, _ in request.query}
