"""The sandbox page's server: what it shows, what it does, whom it refuses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from tests.sandbox import seed
from tests.sandbox.access_points import Fault, RecommandStandIn
from tests.sandbox.console import PAGE, Console
from tests.sandbox.console_state import Parts, document_name
from tests.sandbox.seed import Seeded
from tests.sandbox.sevdesk import PAID, SevdeskStandIn
from tests.sandbox.slack import FakeSlack

BUTTON = {"type": "button", "action_id": "go", "text": {"type": "plain_text", "text": "Go"}}
BLOCKS = [{"type": "actions", "block_id": "row", "elements": [BUTTON]}]


@dataclass
class Desk:
    """A running console with its stand-ins and an app that always says yes."""

    parts: Parts
    company: Seeded
    url: str
    http: aiohttp.ClientSession
    payloads: list[dict[str, Any]]

    async def state(self, user: str = "admin") -> Any:
        async with self.http.get(f"{self.url}sandbox/state", params={"user": user}) as answer:
            return await answer.json()

    async def act(self, **body: Any) -> tuple[int, Any]:
        async with self.http.post(f"{self.url}sandbox/act", json=body) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    payloads: list[dict[str, Any]] = []

    async def app(request: web.Request) -> web.Response:
        form = await request.post()
        payloads.append(json.loads(str(form["payload"])) if "payload" in form else dict(form))
        return web.Response()

    application = web.Application()
    application.router.add_post("/slack/events", app)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with FakeSlack("signing", "xoxb-made-up") as slack, aiohttp.ClientSession() as http:
        slack.connect_app(f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events")
        sevdesk, point = SevdeskStandIn(), RecommandStandIn()
        company = seed.seed_company(sevdesk)
        point.register(seed.HOTEL, "a::Invoice##b::2.1")
        parts = Parts(slack, sevdesk, company.account, point, seed.TOKEN)
        console = Console(parts)
        yield Desk(parts, company, await console.start(), http, payloads)
        await console.stop()
    await runner.cleanup()


async def post(desk: Desk, **more: Any) -> str:
    client = AsyncWebClient("xoxb-made-up", base_url=desk.parts.slack.api_url)
    answer = await client.chat_postMessage(channel="C0INVOICES", text="Hi", **more)
    return str(answer["ts"])


async def test_page_loads_nothing_from_outside(desk: Desk) -> None:
    async with desk.http.get(desk.url) as answer:
        policy, page = answer.headers["Content-Security-Policy"], await answer.text()
    assert "default-src 'none'" in policy
    assert "http" not in page


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_page_files_name_no_other_host(path: Any) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["..%2Fconsole.py", "missing.js", "index.html.bak"])
async def test_only_page_files_are_served(desk: Desk, name: str) -> None:
    async with desk.http.get(f"{desk.url}page/{name}") as answer:
        assert answer.status == 404


async def test_other_host_names_are_refused(desk: Desk) -> None:
    async with desk.http.get(desk.url, headers={"Host": "evil.example"}) as answer:
        assert answer.status == 403


async def test_a_form_of_another_site_cannot_act(desk: Desk) -> None:
    body = json.dumps({"kind": "pay", "invoice": desk.company.draft.id})
    headers = {"Content-Type": "text/plain"}
    async with desk.http.post(f"{desk.url}sandbox/act", data=body, headers=headers) as answer:
        assert answer.status == 415


async def test_messages_of_a_private_channel_are_for_its_members(desk: Desk) -> None:
    client = AsyncWebClient("xoxb-made-up", base_url=desk.parts.slack.api_url)
    await client.chat_postMessage(channel="C0FINANCE", text="private")
    seen = {user: (await desk.state(user))["slack"]["messages"] for user in ("admin", "guest")}
    assert [len(seen["admin"]), len(seen["guest"])] == [1, 0]


async def test_unknown_person_is_not_found(desk: Desk) -> None:
    async with desk.http.get(f"{desk.url}sandbox/state", params={"user": "nobody"}) as answer:
        assert answer.status == 404


async def test_command_reaches_the_app(desk: Desk) -> None:
    await desk.act(kind="command", user="U0GUEST", channel="C0INVOICES", text="/sevdesk sync")
    assert (desk.payloads[0]["user_id"], desk.payloads[0]["text"]) == ("U0GUEST", "sync")


async def test_click_names_message_and_block(desk: Desk) -> None:
    ts = await post(desk, blocks=BLOCKS)
    where = {"kind": "message", "channel": "C0INVOICES", "ts": ts}
    status, _ = await desk.act(
        kind="click", user="U0MEMBER", container=where, action_id="go", block_id="row"
    )
    assert status == 200
    assert desk.payloads[0]["container"]["message_ts"] == ts


async def test_click_on_what_is_gone_is_said(desk: Desk) -> None:
    where = {"kind": "message", "channel": "C0INVOICES", "ts": "1.0"}
    status, answer = await desk.act(
        kind="click", user="U0MEMBER", container=where, action_id="go", block_id="row"
    )
    assert (status, answer["error"]) == (409, "it is not there any more")


async def test_empty_required_field_is_said_at_the_field(desk: Desk) -> None:
    plain = {"type": "plain_text", "text": "Token"}
    element = {"type": "plain_text_input", "action_id": "token"}
    block = {"type": "input", "block_id": "secret", "label": plain, "element": element}
    view = {"type": "modal", "title": plain, "submit": plain, "blocks": [block]}
    client = AsyncWebClient("xoxb-made-up", base_url=desk.parts.slack.api_url)
    await desk.parts.slack.command("connect")
    await client.views_open(trigger_id=desk.payloads[0]["trigger_id"], view=view)
    opened = desk.parts.slack.modal("admin")
    _, answer = await desk.act(kind="submit", user="U0ADMIN", view=opened.id, values={})
    assert list(answer["fields"]) == ["secret"]
    assert len(desk.payloads) == 1


async def test_unknown_act_is_refused(desk: Desk) -> None:
    assert (await desk.act(kind="format_disk"))[0] == 409


async def test_removing_tags_takes_all_off_the_invoice(desk: Desk) -> None:
    invoice = desk.company.unpaid[0]
    desk.company.account.tag("Invoice", invoice.id, "xTool-Uploaded")
    await desk.act(kind="remove_tags", invoice=invoice.id)
    assert desk.company.account.tags_of(invoice) == []


async def test_paying_marks_the_invoice_paid(desk: Desk) -> None:
    invoice = desk.company.unpaid[0]
    await desk.act(kind="pay", invoice=invoice.id)
    assert invoice.status == PAID


async def test_new_invoice_is_in_the_table(desk: Desk) -> None:
    before = (await desk.state())["sevdesk"]["invoices"]
    await desk.act(kind="new_invoice", contact=desk.company.hotel.id, what="Test", price="120")
    after = (await desk.state())["sevdesk"]["invoices"]
    assert (len(after) - len(before), after[0]["gross"]) == (1, "428.40")


async def test_sevdesk_switch_goes_on_and_off(desk: Desk) -> None:
    await desk.act(kind="trouble", name="sevdesk_down", on=True)
    assert (await desk.state())["faults"]["sevdesk_down"] is True
    await desk.act(kind="trouble", name="sevdesk_down", on=False)
    assert (await desk.state())["faults"]["sevdesk_down"] is False


async def test_lost_answer_waits_for_the_next_send(desk: Desk) -> None:
    await desk.act(kind="trouble", name="ap_lost", on=True)
    assert desk.parts.access_point is not None
    assert list(desk.parts.access_point.faults) == [Fault.LOST_ANSWER]


async def test_unknown_receiver_can_join(desk: Desk) -> None:
    await desk.act(kind="trouble", name="ap_register", on=True)
    assert desk.parts.access_point is not None
    assert seed.UNKNOWN_RECEIVER.lower() in desk.parts.access_point.receivers


async def test_stream_sends_each_change(desk: Desk) -> None:
    async with desk.http.get(f"{desk.url}sandbox/stream", params={"user": "admin"}) as stream:
        first = json.loads((await stream.content.readline())[6:])
        await stream.content.readline()
        await post(desk)
        second = json.loads((await stream.content.readline())[6:])
    assert [len(s["slack"]["messages"]) for s in (first, second)] == [0, 1]


async def test_state_holds_no_slack_token(desk: Desk) -> None:
    await post(desk)
    assert "xoxb" not in json.dumps(await desk.state())


def test_document_types_are_named_in_words() -> None:
    bis = "x::Invoice##urn:cen.eu:en16931:2017#compliant#urn:fdc:peppol.eu:2017:poacc::2.1"
    assert document_name(bis) == "Invoice · UBL · Peppol BIS 3"
    cii = "x::CrossIndustryInvoice##urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:xrechnung_3.0"
    assert document_name(cii) == "Invoice · CII · XRechnung"
