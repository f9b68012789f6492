"""The calls of the API that the client makes, as recorded or documented."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any
from uuid import uuid4

from aiohttp import web

from tests.sandbox.sevdesk import views
from tests.sandbox.sevdesk.state import SevdeskAccount

LIMIT_MESSAGE = "Invalid 'limit' parameter. Please provide an integer value between 1 and 1000."


class ApiError(Exception):
    """Becomes sevDesk's error envelope."""

    def __init__(self, status: int, message: str, code: int | None = None, data: Any = ()) -> None:
        super().__init__(message)
        self.status = status
        self.body = {
            "error": {
                "exceptionUUID": str(uuid4()),
                "message": message,
                "errorCode": 0,
                "code": code,
                "data": list(data) if isinstance(data, tuple) else data,
                "responseCode": status,
            },
            "objects": None,
        }


type Handler = Callable[[SevdeskAccount, web.Request, dict[str, str]], Any]


class SevdeskCalls:
    """The calls, and the switches for what no public source settles.

    `reuses_tags` (Factory/create takes the Tag row of that name, or makes another),
    `removal_status` (200, or the refusal of `DELETE /TagRelation`), `embeds` (whether `embed=` is
    heeded), `tagging_updates` (whether a tag moves the invoice's `update`), `client_status` and
    `user_status` (200, or the refusal of `/SevClient` and `/SevUser`).
    """

    def __init__(self) -> None:
        self.reuses_tags = True
        self.removal_status = 200
        self.embeds = True
        self.tagging_updates = False
        self.client_status = 200
        self.user_status = 200

    def routes(self) -> list[tuple[str, str, Handler]]:
        return [
            ("GET", "/Tools/bookkeepingSystemVersion", lambda *_: {"version": "2.0"}),
            ("GET", "/SevClient", self._clients),
            ("GET", "/SevUser", self._users),
            ("GET", "/Tag", self._tags),
            ("GET", "/TagRelation", self._relations),
            ("POST", "/Tag/Factory/create", self._create_tag),
            ("DELETE", r"/TagRelation/(?P<id>\w+)", self._remove_relation),
            ("GET", "/Contact", self._contacts),
            ("GET", r"/Contact/(?P<id>\w+)", self._contact),
            ("GET", "/Invoice", self._invoices),
            ("GET", r"/Invoice/(?P<id>\w+)", self._invoice),
            ("GET", r"/Invoice/(?P<id>\w+)/getXml", self._xml),
            ("GET", r"/Invoice/(?P<id>\w+)/getPdf", self._pdf),
            ("GET", "/ContactCustomFieldSetting", self._field_settings),
            ("GET", "/ContactCustomField", self._fields),
        ]

    def _clients(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        _refuse_unless_ok(self.client_status)
        return _page(request, [views.client(account)])

    def _users(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        _refuse_unless_ok(self.user_status)
        return _page(request, [views.user(account)])

    def _tags(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        rows = _newest(views.tag(account, tag_id) for tag_id in account.tags)
        for name in ("id", "name"):
            rows = _filtered(rows, request, name, itemgetter(name))
        return _page(request, rows)

    def _relations(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        embed = self.embeds and "tag" in request.query.get("embed", "").split(",")
        every = list(account.relations.values())
        return _page(request, _newest(views.relation(account, r, embed=embed) for r in every))

    def _create_tag(self, account: SevdeskAccount, _: web.Request, given: dict[str, Any]) -> Any:
        target, name = given.get("object"), given.get("name")
        if not isinstance(target, dict) or not isinstance(name, str):
            raise ApiError(400, "object is missing")
        object_id = str(target.get("id"))
        if target.get("objectName") != "Invoice" or object_id not in account.invoices:
            raise ApiError(404, f"No Model_Invoice with the id {object_id} was found", 151)
        made = account.tag("Invoice", object_id, name, reuse=self.reuses_tags)
        if self.tagging_updates:
            account.edit(account.invoices[object_id])
        return views.relation(account, made, embed=False)

    def _remove_relation(self, account: SevdeskAccount, _: web.Request, given: Any) -> Any:
        _refuse_unless_ok(self.removal_status)
        gone = account.relations.pop(given["id"], None)
        if gone is None:
            raise ApiError(404, f"No Model_TagRelation with the id {given['id']} was found", 151)
        if self.tagging_updates and gone.object_id in account.invoices:
            account.edit(account.invoices[gone.object_id])
        return [None]

    def _contacts(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        persons = request.query.get("depth") == "1"
        shown = [c for c in account.contacts.values() if persons or not c.family_name]
        wanted = request.query.get("tags[0][id]")
        if wanted and request.query.get("tags[0][objectName]") == "Tag":
            tagged = {r.object_id for r in account.relations.values() if r.tag == wanted}
            shown = [c for c in shown if c.id in tagged]
        rows = _newest(views.contact(account, c) for c in shown)
        return _page(
            request, _filtered(rows, request, "customerNumber", itemgetter("customerNumber"))
        )

    def _contact(self, account: SevdeskAccount, _: web.Request, given: dict[str, str]) -> Any:
        return [views.contact(account, _found(account.contacts, given["id"], "Contact"))]

    def _invoices(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        embed = self.embeds and "contact" in request.query.get("embed", "").split(",")
        every = list(account.invoices.values())
        rows = _newest(views.invoice(account, i, embed=embed) for i in every)
        rows = _filtered(rows, request, "status", itemgetter("status"))
        rows = _filtered(rows, request, "invoiceNumber", itemgetter("invoiceNumber"))
        if request.query.get("contact[objectName]") == "Contact":
            rows = _filtered(rows, request, "contact[id]", lambda row: row["contact"]["id"])
        return _page(request, rows)

    def _invoice(self, account: SevdeskAccount, _: web.Request, given: dict[str, str]) -> Any:
        found = _found(account.invoices, given["id"], "Invoice")
        return [views.invoice(account, found, embed=False)]

    def _xml(self, account: SevdeskAccount, _: web.Request, given: dict[str, str]) -> Any:
        invoice = _found(account.invoices, given["id"], "Invoice")
        if invoice.xml_error:
            raise ApiError(*invoice.xml_error)
        if not invoice.e_invoice:
            raise ApiError(400, "This invoice is not an electronic invoice")
        if invoice.number is None:
            raise ApiError(503, "Invoice number is required")
        if not account.company.iban:
            raise ApiError(500, "Missing iban and bic")
        return account.xml(invoice)

    def _pdf(self, account: SevdeskAccount, request: web.Request, given: dict[str, str]) -> Any:
        invoice = _found(account.invoices, given["id"], "Invoice")
        if request.query.get("preventSendBy") != "true" and invoice.number is None:
            account.open_draft(invoice)
        content = b"%PDF-1.5\n% " + (invoice.number or "Entwurf").encode() + b"\n%%EOF\n"
        return {
            "filename": f"{invoice.number}.pdf",
            "mimetype": "application/pdf",
            "base64Encoded": True,
            "content": base64.b64encode(content).decode(),
        }

    def _field_settings(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        rows = (views.field_setting(account, setting) for setting in account.field_settings)
        return _page(request, _newest(rows))

    def _fields(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        return _page(request, _newest(views.custom_field(account, one) for one in account.fields))


def _newest(rows: Iterable[views.Json]) -> list[views.Json]:
    """Highest id first, as in both recorded lists."""
    return sorted(rows, key=lambda row: int(row["id"]), reverse=True)


def _filtered(
    rows: list[views.Json], request: web.Request, name: str, value: Callable[[views.Json], Any]
) -> list[views.Json]:
    wanted = request.query.get(name)
    return rows if wanted is None else [row for row in rows if str(value(row)) == wanted]


def _page(request: web.Request, rows: list[views.Json]) -> list[views.Json]:
    limit, offset = request.query.get("limit", "100"), request.query.get("offset", "0")
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise ApiError(400, LIMIT_MESSAGE)
    start = int(offset) if offset.isdigit() else 0
    return rows[start : start + int(limit)]


def _found[T](items: dict[str, T], object_id: str, model: str) -> T:
    if object_id not in items:
        raise ApiError(404, f"No Model_{model} with the id {object_id} was found", 151)
    return items[object_id]


def _refuse_unless_ok(status: int) -> None:
    if status != 200:
        raise ApiError(status, "You do not have permission to access this resource")
