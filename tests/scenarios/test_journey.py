"""The whole way of a bookkeeper, with signed requests against the real app and stand-ins.

connect, first sync, a failure with its reason, Retry send, `xTool-Peppol-Sent` in sevDesk.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from tests.sandbox.sevdesk import Invoice
from tests.sandbox.slack.workspace import Message
from tests.sandbox.world import World, stand_ins

SECONDS = 20.0  # a limit, not a wait: every wait ends with the change it waits for


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with stand_ins(poll_seconds=1) as world, world.app():
        yield world


def tags(world: World, invoice: Invoice) -> list[str]:
    return world.seeded.account.tags_of(invoice)


def card(world: World, number: str) -> Message | None:
    """The newest message of its own about an invoice."""
    found = [m for m in world.slack.messages("invoices", replies=False) if number in m.text]
    return found[-1] if found else None


async def connect(world: World, *, token: str = "") -> None:
    slack = world.slack
    await slack.command("/sevdesk connect")
    await slack.wait_for(lambda: slack.modal("admin").callback_id == "connect", SECONDS)
    values = {"token": token or world.token, "channel": slack.channel("invoices").id}
    await slack.submit(values=values)
    await slack.wait_for(lambda: slack.modal("admin").callback_id != "checking", SECONDS)


async def until_tagged(world: World, invoice: Invoice, tag: str) -> None:
    await world.until(lambda: tags(world, invoice) == [tag], SECONDS)


async def test_connect_names_the_account_and_the_first_sync_sends(world: World) -> None:
    await connect(world)
    assert "Lindhof Elektrotechnik GmbH" in world.slack.modal("admin").all_text
    await until_tagged(world, world.seeded.unpaid[0], "xTool-Peppol-Sent")
    sent = world.access_point.count("9930:DE136695976", world.seeded.unpaid[0].number or "")
    assert sent == 1


async def test_a_rejected_invoice_is_retried_from_its_message(world: World) -> None:
    await connect(world)
    invoice = world.seeded.rejected_invoice
    await until_tagged(world, invoice, "xTool-Peppol-Failed")
    slack, number = world.slack, invoice.number or ""
    await slack.wait_for(lambda: card(world, number), SECONDS)
    await slack.click("invoice_retry", user="admin", value=invoice.id)
    await until_tagged(world, invoice, "xTool-Peppol-Sent")
    user = slack.user("admin").id
    await slack.wait_for(lambda: user in (card(world, number) or _none()).all_text, SECONDS)
    assert world.access_point.count("9930:DE136695976", number) == 1


async def test_ten_clicks_make_one_attempt_and_everyone_is_answered(world: World) -> None:
    await connect(world)
    invoice = world.seeded.rejected_invoice
    await until_tagged(world, invoice, "xTool-Peppol-Failed")
    slack, number = world.slack, invoice.number or ""
    message = await slack.wait_for(lambda: card(world, number), SECONDS)
    assert message is not None
    clicks = [slack.click("invoice_retry", value=invoice.id) for _ in range(10)]
    for delivery in await asyncio.gather(*clicks):
        assert (delivery.status, delivery.error) == (200, "")
    await until_tagged(world, invoice, "xTool-Peppol-Sent")
    assert world.access_point.count("9930:DE136695976", number) == 1


async def test_an_unknown_receiver_is_told_with_what_to_do(world: World) -> None:
    await connect(world)
    invoice = world.seeded.unknown_invoice
    await until_tagged(world, invoice, "xTool-Peppol-Failed")
    message = await world.slack.wait_for(lambda: card(world, invoice.number or ""), SECONDS)
    assert message is not None
    assert "Peppol" in message.all_text
    assert world.slack.find("invoice_peppol_id", value=invoice.id)


async def test_what_is_not_to_be_sent_is_left_alone(world: World) -> None:
    await connect(world)
    await until_tagged(world, world.seeded.unpaid[0], "xTool-Peppol-Sent")
    seeded = world.seeded
    untouched = (seeded.untagged_invoice, seeded.paid, seeded.draft, seeded.not_an_e_invoice)
    assert [tags(world, invoice) for invoice in untouched] == [[], [], [], []]


async def test_disconnecting_ends_with_a_message_in_the_channel(world: World) -> None:
    await connect(world)
    slack = world.slack
    await slack.command("/sevdesk disconnect")
    await slack.wait_for(lambda: slack.modal("admin").callback_id == "disconnect", SECONDS)
    await slack.submit(values={})
    user = slack.user("admin").id

    def ended() -> bool:
        last = slack.messages("invoices")[-1].text
        return user in last and last.startswith(":electric_plug:")

    await slack.wait_for(ended, SECONDS)


async def test_removing_the_tags_sends_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.tags.SETTLES_WITHIN", timedelta(seconds=1))  # no list lags here
    await connect(world)
    invoice = world.seeded.unpaid[0]
    await until_tagged(world, invoice, "xTool-Peppol-Sent")
    world.seeded.account.untag(invoice)

    def sent_twice() -> bool:
        return world.access_point.count("9930:DE136695976", invoice.number or "") == 2

    await world.until(sent_twice, SECONDS)
    await until_tagged(world, invoice, "xTool-Peppol-Sent")


async def test_a_wrong_token_saves_nothing_and_says_why(world: World) -> None:
    await connect(world, token="0" * 32)
    modal = world.slack.modal("admin")
    assert modal.callback_id == "connect"
    assert "sevDesk" in modal.all_text
    await world.slack.command("/sevdesk status")
    await world.slack.wait_for(lambda: world.slack.ephemerals("admin"), SECONDS)
    assert "/sevdesk connect" in world.slack.ephemerals("admin")[-1].all_text


def _none() -> Message:
    raise AssertionError("no message about the invoice")
