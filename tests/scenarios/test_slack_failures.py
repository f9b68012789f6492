"""Failures and their buttons: who clicked, the result in place, another receiver."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from sync import delivery
from sync.errors import Reason
from sync.model import Decision, InvoiceState, Outcome, ParticipantId
from tests.scenarios.conftest import ORG, Surface, failure, posts
from tests.unit.bot_support import NOW

S = InvoiceState


# ---- failures ---------------------------------------------------------------------------


async def test_retry_shows_who_clicked_at_once_and_the_result_in_place(told: Surface) -> None:
    message = await failure(told)
    said = await told.click("invoice_retry", user="member")
    assert "RE-1001 wird erneut gesendet" in said
    assert "durch <@U0MEMBER>" in message.all_text
    sent = told.service.records["4711"].model_copy(update={"attempts": 2})
    told.service.add(delivery.delivered(sent, "delivered", NOW))
    await told.notify()
    assert "wurde über Peppol zugestellt" in message.text
    assert "<@U0MEMBER>" in message.all_text
    assert len(posts(told)) == 1


async def test_ten_clicks_by_five_people_are_one_attempt_and_everyone_is_answered(
    told: Surface,
) -> None:
    message = await failure(told)
    people = ["admin", "ben", "clara", "guest", "ben"]
    before = {user: len(told.slack.ephemerals(user)) for user in set(people)}
    clicks = [told.slack.click("invoice_retry", user=user, message=message) for user in people * 2]
    for given in await asyncio.gather(*clicks):
        assert (given.status, given.error) == (200, "")
    await told.quiet()
    assert told.service.attempts == 1
    answers = {user: len(told.slack.ephemerals(user)) - before[user] for user in before}
    assert answers == {"admin": 2, "ben": 4, "clara": 2, "guest": 2}


async def test_a_late_click_on_what_failed_again_starts_nothing(told: Surface) -> None:
    message = await failure(told)
    stale = told.slack.find("invoice_retry", message=message)
    shown = told.service.records["4711"]
    told.service.records["4711"] = shown.model_copy(update={"attempts": 2, "actor": "U0MEMBER"})
    assert stale.block["block_id"] == "invoice:4711:1.1"
    said = await told.click("invoice_retry", user="admin")
    assert "<@U0MEMBER> war schneller" in said
    assert told.service.attempts == 0


async def test_a_replayed_request_starts_nothing(told: Surface) -> None:
    await failure(told)
    await told.click("invoice_retry", user="member")
    kind, body, headers = told.slack.out.replays[-1]
    await told.slack.out.send(kind, body, headers)
    await told.quiet()
    assert told.service.attempts == 1


async def test_a_guest_who_clicks_is_told_and_starts_nothing(told: Surface) -> None:
    await failure(told)
    said = await told.click("invoice_retry", user="guest")
    assert "Vollmitglied" in said
    assert told.service.attempts == 0


async def test_solved_elsewhere_is_shown_in_place(told: Surface) -> None:
    message = await failure(told)
    paid = delivery.withdrawn(told.service.records["4711"], Reason(code="withdrawn.paid"), NOW)
    told.service.add(paid)
    await told.notify()
    assert "inzwischen bezahlt" in message.all_text
    assert len(posts(told)) == 1


async def test_a_reexport_that_fails_is_a_new_message(told: Surface) -> None:
    await failure(told)
    await failure(told, generation=2)
    assert len(posts(told)) == 2


async def test_unconfirmed_arrived(told: Surface) -> None:
    message = await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)
    said = await told.click("invoice_arrived", user="member")
    assert "als gesendet vermerkt" in said
    assert "zugestellt" in message.text


async def test_unconfirmed_send_again(told: Surface) -> None:
    await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)
    await told.click("invoice_send_again", user="member")
    assert told.service.records["4711"].force


async def test_send_again_while_the_first_may_be_under_way_says_when(told: Surface) -> None:
    await failure(told, state=S.UNCONFIRMED, overdue=True, reason=None)

    async def too_early(org: str, invoice_id: str, actor: str) -> Decision:
        return Decision(outcome=Outcome.NOT_POSSIBLE, record=told.service.records[invoice_id])

    told.service.send_again = too_early  # type: ignore[method-assign]
    assert "könnte noch unterwegs sein" in await told.click("invoice_send_again")


async def test_dismiss(told: Surface) -> None:
    message = await failure(told)
    await told.click("invoice_dismiss", user="member")
    assert "hat sich ohne Senden erledigt" in message.text


async def test_documents_go_to_who_asked_directly(told: Surface) -> None:
    await failure(told)
    said = await told.click("invoice_documents", user="member")
    assert "Direktnachricht" in said
    names = [f["name"] for m in told.slack.direct_messages("member") for f in m.files]
    assert names == ["a.xml", "a.pdf"]
    assert [m for m in told.slack.messages("invoices") if m.files] == []


async def test_an_unknown_button_is_answered(told: Surface) -> None:
    message = await failure(told)
    message.blocks[-1]["elements"][0]["action_id"] = "of_an_older_version"
    assert "älteren Version" in await told.click("of_an_older_version")


async def test_a_button_of_a_forgotten_invoice_is_answered(told: Surface) -> None:
    await failure(told)
    told.service.records.clear()
    assert "kennt diese Rechnung nicht mehr" in await told.click("invoice_retry")


async def test_a_customer_called_channel_pings_nobody(told: Surface) -> None:
    message = await failure(told, contact_name="<!channel> & *Co*")
    assert message.pings == []


async def test_hidden_amounts_are_nowhere(told: Surface) -> None:
    await told.bot.deps.store.change_prefs(ORG, hide_amounts=True)
    message = await failure(told, gross=Decimal(4711))
    assert "4.711,00" not in message.all_text


# ---- Peppol id ------------------------------------------------------------------------------

CANDIDATES = (
    ParticipantId(scheme="9930", value="DE136695976"),
    ParticipantId(scheme="0088", value="4035811991014"),
)


async def test_a_receiver_is_chosen_among_candidates_with_what_the_lookup_said(
    told: Surface,
) -> None:
    told.service.said_of = {str(CANDIDATES[0]): "not_registered"}
    await failure(told, candidates=CANDIDATES)
    await told.click("invoice_peppol_id", user="member")
    modal = told.slack.modal("member")
    assert "nicht im Peppol-Netzwerk registriert" in modal.all_text
    await told.submit(user="member")  # the one that is registered is chosen already
    assert told.service.chosen == [CANDIDATES[1]]
    assert "Für diesen Kontakt gespeichert" in told.slack.modal("member").all_text


async def test_a_typed_receiver_that_nobody_knows_is_asked_again(told: Surface) -> None:
    told.service.said_of = {"9930:DE136695976": "not_registered"}
    await failure(told)
    await told.click("invoice_peppol_id", user="member")
    view = await told.submit(user="member", participant="9930:DE136695976")
    assert "nicht registriert" in view.all_text
    assert view.callback_id == "peppol_id"
    assert told.service.chosen == []


async def test_a_wrong_check_digit_is_shown_at_the_field(told: Surface) -> None:
    await failure(told)
    await told.click("invoice_peppol_id", user="member")
    view = await told.submit(user="member", participant="9930:DE136695977")
    assert "Prüfziffer" in view.errors["participant"]
