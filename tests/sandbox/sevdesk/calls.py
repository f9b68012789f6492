"""The calls of the API that the client makes, as recorded or documented."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
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
        return _page(request, [account.id], lambda _: views.client(account))

    def _users(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        _refuse_unless_ok(self.user_status)
        return _page(request, [account.id], lambda _: views.user(account))

    def _tags(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        wanted = request.query
        shown = [
            tag_id
            for tag_id, name in account.tags.items()
            if wanted.get("id", tag_id) == tag_id and wanted.get("name", name) == name
        ]
        return _page(request, shown, lambda tag_id: views.tag(account, tag_id))

    def _relations(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        embed = self.embeds and "tag" in request.query.get("embed", "").split(",")
        shown = account.relations
        return _page(request, shown, lambda i: views.relation(account, shown[i], embed=embed))

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
        number = request.query.get("customerNumber")
        shown = {
            c.id: c
            for c in account.contacts.values()
            if (persons or not c.family_name) and number in {None, c.customer_number}
        }
        wanted = request.query.get("tags[0][id]")
        if wanted and request.query.get("tags[0][objectName]") == "Tag":
            tagged = {r.object_id for r in account.relations.values() if r.tag == wanted}
            shown = {i: c for i, c in shown.items() if i in tagged}
        return _page(request, shown, lambda i: views.contact(account, shown[i]))

    def _contact(self, account: SevdeskAccount, _: web.Request, given: dict[str, str]) -> Any:
        return [views.contact(account, _found(account.contacts, given["id"], "Contact"))]

    def _invoices(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        embed = self.embeds and "contact" in request.query.get("embed", "").split(",")
        status, number = request.query.get("status"), request.query.get("invoiceNumber")
        by_contact = request.query.get("contact[objectName]") == "Contact"
        contact = request.query.get("contact[id]") if by_contact else None
        shown = {
            i.id: i
            for i in account.invoices.values()
            if status in {None, str(i.status)}
            and number in {None, i.number}
            and contact in {None, i.contact}
        }
        return _page(request, shown, lambda i: views.invoice(account, shown[i], embed=embed))

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
        return _page(request, account.field_settings, lambda i: views.field_setting(account, i))

    def _fields(self, account: SevdeskAccount, request: web.Request, _: Any) -> Any:
        return _page(request, account.fields, lambda i: views.custom_field(account, i))


def _page(
    request: web.Request, ids: Iterable[str], view: Callable[[str], views.Json]
) -> list[views.Json]:
    """One page, highest id first as in both recorded lists; 100 rows unless asked otherwise."""
    limit, offset = request.query.get("limit", "100"), request.query.get("offset", "0")
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise ApiError(400, LIMIT_MESSAGE)
    start = int(offset) if offset.isdigit() else 0
    newest = sorted(ids, key=int, reverse=True)
    return [view(one) for one in newest[start : start + int(limit)]]


def _found[T](items: dict[str, T], object_id: str, model: str) -> T:
    if object_id not in items:
        raise ApiError(404, f"No Model_{model} with the id {object_id} was found", 151)
    return items[object_id]


def _refuse_unless_ok(status: int) -> None:
    if status != 200:
        raise ApiError(status, "You do not have permission to access this resource")
