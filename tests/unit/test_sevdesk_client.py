"""The sevDesk client against the stand-in, over real connections on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import timedelta
from decimal import Decimal

import pytest
from aiohttp import web

from sync.errors import Kind
from sync.sevdesk import SevdeskClient, errors
from sync.sevdesk import client as client_module
from tests.sandbox.cii import Line
from tests.sandbox.sevdesk import DRAFT, OPEN, PAID, Fault
from tests.unit.sevdesk_support import TOKEN, World, world

__all__ = ["world"]


# --- the calls ---


async def test_token_check_tells_the_bookkeeping_version(world: World) -> None:
    assert await world.client().bookkeeping_version() == "2.0"


async def test_account_is_named_by_sevclient(world: World) -> None:
    account = await world.client().account()
    assert (account.id, account.name) == (world.account.id, "Werkstatt Nord GmbH")


@pytest.mark.parametrize("status", [403, 404])
async def test_account_falls_back_to_the_user(world: World, status: int) -> None:
    world.sevdesk.client_status = status
    assert (await world.client().account()).id == world.account.id


async def test_account_falls_back_to_any_object(world: World) -> None:
    world.sevdesk.client_status = world.sevdesk.user_status = 404
    world.account.add_contact("Kunde")
    assert (await world.client().account()).id == world.account.id


async def test_account_unknown_when_nothing_names_it(world: World) -> None:
    world.sevdesk.client_status = world.sevdesk.user_status = 404
    with pytest.raises(errors.AccountUnknownError):
        await world.client().account()


async def test_account_stops_at_a_wrong_token(world: World) -> None:
    with pytest.raises(errors.UnauthorizedError):
        await world.client("0" * 32).account()
    assert len(world.sevdesk.log) == 1


async def test_tag_relations_come_with_tag_names_where_embedded(world: World) -> None:
    contact = world.account.add_contact("Kunde", tagged="xTool")
    (relation,) = (await world.client().tag_relations()).rows
    assert (relation.object_name, relation.object_id, relation.tag_name) == (
        "Contact",
        contact.id,
        "xTool",
    )


async def test_tag_relations_without_embedding_join_by_tag_id(world: World) -> None:
    world.sevdesk.embeds = False
    world.account.add_contact("Kunde", tagged="xTool")
    sevdesk = world.client()
    (relation,) = (await sevdesk.tag_relations()).rows
    (tag,) = (await sevdesk.tags()).rows
    assert (relation.tag_name, relation.tag_id, tag.name) == ("", tag.id, "xTool")


async def test_invoices_of_a_status(world: World) -> None:
    contact = world.account.add_contact("Kunde")
    line = Line("Öl", Decimal("1.5"), Decimal("26.13"))
    unpaid = world.account.add_invoice(contact, [line])
    world.account.add_invoice(contact, status=DRAFT)
    (row,) = (await world.client().invoices(OPEN)).rows
    assert (row.id, row.number, row.gross) == (unpaid.id, "RE-1001", Decimal("46.65"))
    assert row.due_date == unpaid.day + timedelta(days=14)


async def test_a_broken_row_does_not_lose_the_others(world: World) -> None:
    rows = b'{"objects":[{"id":"1","status":"200","invoiceType":"RE"},{"id":"2"},7]}'
    world.sevdesk.inject(Fault(path="/Invoice", status=200, body=rows))
    listing = await world.client().invoices(OPEN)
    assert [row.id for row in listing.rows] == ["1"]
    assert [broken.id for broken in listing.broken] == ["2", ""]


async def test_contacts_include_persons(world: World) -> None:
    firm = world.account.add_contact("Firma")
    world.account.add_contact(first_name="Eva", family_name="Kern", parent=firm.id)
    rows = (await world.client().contacts()).rows
    assert [(row.name, row.parent_id) for row in rows] == [("Eva Kern", firm.id), ("Firma", "")]


async def test_custom_fields_are_read(world: World) -> None:
    contact = world.account.add_contact("Kunde")
    world.account.add_custom_field(contact, "Peppol ID", "0088:4012345000009")
    sevdesk = world.client()
    (setting,) = (await sevdesk.custom_field_settings()).rows
    (field,) = (await sevdesk.custom_fields()).rows
    assert (field.contact_id, field.setting_id, field.value) == (
        contact.id,
        setting.id,
        "0088:4012345000009",
    )


async def test_one_invoice_and_its_contact(world: World) -> None:
    contact = world.account.add_contact("Kunde", vat="DE136695976")
    made = world.account.add_invoice(contact)
    sevdesk = world.client()
    row = await sevdesk.invoice(made.id)
    assert (await sevdesk.contact(row.contact_id)).vat_number == "DE136695976"


async def test_a_deleted_invoice_is_not_found(world: World) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        await world.client().invoice("1")
    assert caught.value.params["resource"] == "Invoice"


async def test_xml_is_the_document(world: World) -> None:
    made = world.account.add_invoice(world.account.add_contact("Müller & Söhne"))
    xml = await world.client().xml(made.id)
    assert xml.startswith(b"<?xml")
    assert "Müller &amp; Söhne" in xml.decode()


async def test_pdf_of_a_draft_does_not_send_it(world: World) -> None:
    draft = world.account.add_invoice(world.account.add_contact("Kunde"), status=DRAFT)
    pdf = await world.client().pdf(draft.id)
    assert pdf.content.startswith(b"%PDF")
    assert draft.status == DRAFT


async def test_pdf_may_come_raw_with_a_wrong_content_encoding(world: World) -> None:
    headers = {"Content-Encoding": "gzip"}
    world.sevdesk.inject(
        Fault(path="getPdf", status=200, body=b"%PDF-1.5", content_type="application/pdf",
              headers=headers)
    )  # fmt: skip
    assert (await world.client().pdf("7")).content == b"%PDF-1.5"


async def test_a_tag_is_added_and_removed(world: World) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    sevdesk = world.client()
    relation = await sevdesk.add_tag(made.id, "xTool-Uploaded")
    assert relation.object_id == made.id
    assert world.account.tags_of(made) == ["xTool-Uploaded"]
    assert await sevdesk.remove_tag_relation(relation.id) is True
    assert world.account.tags_of(made) == []


async def test_removing_what_is_gone_is_no_error(world: World) -> None:
    assert await world.client().remove_tag_relation("12345") is False


@pytest.mark.parametrize("status", [404, 405])
async def test_a_refused_removal_is_an_error_of_its_own(world: World, status: int) -> None:
    world.sevdesk.removal_status = status
    with pytest.raises(errors.RemovalRefusedError) as caught:
        await world.client().remove_tag_relation("12345")
    assert caught.value.kind is Kind.PERMANENT


async def test_paid_is_a_number_and_sums_are_text(world: World) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    world.account.pay(made, Decimal("10.50"))
    row = await world.client().invoice(made.id)
    assert (row.paid, row.status) == (Decimal("10.5"), "750")


async def test_a_cancelled_invoice_looks_paid(world: World) -> None:
    made = world.account.add_invoice(world.account.add_contact("Kunde"))
    world.account.cancel(made)
    rows = (await world.client().invoices(PAID)).rows
    assert [row.invoice_type for row in rows] == ["SR", "RE"]


# --- paging ---


async def test_all_pages_are_read(world: World) -> None:
    contact = world.account.add_contact("Kunde")
    made = [world.account.add_invoice(contact).id for _ in range(2500)]
    rows = (await world.client().invoices(OPEN)).rows
    assert [row.id for row in rows] == made[::-1]
    assert len(world.sevdesk.log) == 3


async def test_999_rows_cost_one_request(world: World) -> None:
    contact = world.account.add_contact("Kunde")
    for _ in range(999):
        world.account.add_invoice(contact)
    assert len((await world.client().invoices(OPEN)).rows) == 999
    assert len(world.sevdesk.log) == 1


type Rows = Callable[[int, int], Iterable[int]]  # offset, number of the request: the ids


class PageServer:
    """Answers each page of `/Tag` by a function of the offset and the number of the request."""

    def __init__(self, answer: Rows) -> None:
        self.answer = answer
        self.requests = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.requests += 1
        ids = self.answer(int(request.query["offset"]), self.requests)
        return web.json_response({"objects": [{"id": str(i), "name": "x"} for i in ids]})


type ServePages = Callable[[Rows], Awaitable[tuple[PageServer, SevdeskClient]]]


@pytest.fixture
async def serve_pages(world: World) -> AsyncIterator[ServePages]:
    """Replace the stand-in by a `PageServer`."""
    runners = []

    async def serve(answer: Rows) -> tuple[PageServer, SevdeskClient]:
        server = PageServer(answer)
        app = web.Application()
        app.router.add_get("/Tag", server.handle)
        runner = web.AppRunner(app, access_log=None)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return server, SevdeskClient(world.http, url, TOKEN, world.pace)

    yield serve
    for runner in runners:
        await runner.cleanup()


async def test_a_list_that_ignores_the_offset_is_an_error(serve_pages: ServePages) -> None:
    # There may be more rows, and no way to them.
    server, sevdesk = await serve_pages(lambda offset, n: range(1000))
    with pytest.raises(errors.BadAnswerError):
        await sevdesk.tags()
    assert server.requests == 2


async def test_a_list_that_ignores_the_limit_is_read_to_its_end(serve_pages: ServePages) -> None:
    # A missing tag relation would look like a tag that a person took off.
    _, sevdesk = await serve_pages(lambda offset, n: range(offset, min(offset + 100, 250)))
    assert len((await sevdesk.tags()).rows) == 250


async def test_a_list_of_as_many_rows_as_a_default_page_costs_one_request_more(
    serve_pages: ServePages,
) -> None:
    server, sevdesk = await serve_pages(lambda offset, n: range(offset, 100))
    assert (len((await sevdesk.tags()).rows), server.requests) == (100, 2)


async def test_a_list_that_takes_neither_limit_nor_offset_is_whole(serve_pages: ServePages) -> None:
    _, sevdesk = await serve_pages(lambda offset, n: range(3456))
    assert len((await sevdesk.tags()).rows) == 3456


async def test_rows_removed_while_reading_start_the_list_anew(serve_pages: ServePages) -> None:
    # Between the first and the second page 50 rows of the first page are deleted.
    def answer(offset: int, number: int) -> range:
        first = 0 if number == 1 else 50
        return range(first + offset, min(first + offset + 1000, 1500))

    server, sevdesk = await serve_pages(answer)
    rows = (await sevdesk.tags()).rows
    assert {int(row.id) for row in rows} == set(range(50, 1500))
    assert server.requests == 4


async def test_rows_that_move_into_the_page_before_are_not_lost(serve_pages: ServePages) -> None:
    # 40 of 1,010 rows are deleted after the first page: the second is empty, and the ten last
    # rows now stand where the first page was.
    def answer(offset: int, number: int) -> range:
        first = 0 if number == 1 else 40
        return range(first + offset, min(first + offset + 1000, 1010))

    _, sevdesk = await serve_pages(answer)
    assert {int(row.id) for row in (await sevdesk.tags()).rows} == set(range(40, 1010))


async def test_a_few_rows_removed_while_reading_lose_none(serve_pages: ServePages) -> None:
    def answer(offset: int, number: int) -> range:
        first = 0 if number == 1 else 15
        return range(first + offset, min(first + offset + 1000, 1500))

    server, sevdesk = await serve_pages(answer)
    rows = (await sevdesk.tags()).rows
    assert {int(row.id) for row in rows} >= set(range(15, 1500))
    assert server.requests == 2


async def test_a_list_that_never_holds_still_is_an_error(serve_pages: ServePages) -> None:
    _, sevdesk = await serve_pages(lambda offset, n: range(n * 5000, n * 5000 + 1000))
    with pytest.raises(errors.ListChangedError) as caught:
        await sevdesk.tags()
    assert caught.value.kind is Kind.TRANSIENT


async def test_a_list_without_an_end_is_an_error(
    serve_pages: ServePages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "PAGE_LIMIT", 5)
    server, sevdesk = await serve_pages(lambda offset, n: range(offset, offset + 1000))
    with pytest.raises(errors.BadAnswerError):
        await sevdesk.tags()
    assert server.requests == 5
