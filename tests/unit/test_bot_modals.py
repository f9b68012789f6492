"""Modals: what they show and never hold, and how chosen settings are read."""

from __future__ import annotations

from typing import Any

from bot.blocks import modals
from bot.blocks import settings as settings_modal
from bot.prefs import Notify, Prefs
from bot.texts import Mrkdwn
from tests.sandbox.slack.workspace import texts as all_texts
from tests.unit.bot_support import EN, PARTICIPANT, connection, shown


def test_one_registered_candidate_is_chosen_beforehand() -> None:
    lookups = [("9930:DE1", "not_registered"), ("0204:1", "registered")]
    view = modals.peppol_id(EN, shown(), lookups)
    radio = next(b for b in view["blocks"] if b.get("block_id") == "candidate")["element"]
    assert radio["initial_option"]["value"] == "0204:1"


def test_the_connect_modal_never_holds_a_token() -> None:
    view = modals.connect(EN, connection(), "C1", Mrkdwn("wrong"))
    field = next(b for b in view["blocks"] if b.get("block_id") == "token")["element"]
    assert "initial_value" not in field
    assert view["private_metadata"] == "en"


def test_a_second_connect_names_the_account_that_is_replaced() -> None:
    view = modals.connect(EN, connection(), "C1")
    assert "Nordwind Werkstatt GmbH" in "\n".join(all_texts(view["blocks"]))


# ---- settings -------------------------------------------------------------------------------


def submitted(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "channel": {"value": {"selected_conversation": "C1"}},
        "failures_channel": {"value": {"selected_conversation": None}},
        "mode": {"value": {"selected_option": {"value": "ask"}}},
        "notify": {"value": {"selected_option": {"value": "daily"}}},
        "daily_at": {"value": {"selected_time": "17:30"}},
        "language": {"value": {"selected_option": {"value": "de"}}},
        "may_retry": {"value": {"selected_users": ["U1"]}},
        "sender": {"value": {"value": "9930:DE136695976"}},
        "company": {"value": {"value": " firma "}},
        "amounts": {"value": {"selected_option": {"value": "hide"}}},
    }
    return values | {name: {"value": value} for name, value in changes.items()}


def test_settings_are_read_as_chosen() -> None:
    chosen = settings_modal.read(submitted(), Prefs())
    assert isinstance(chosen, settings_modal.Chosen)
    assert chosen.ask_before_sending
    assert chosen.sender == PARTICIPANT
    assert chosen.company == "firma"
    expected = Prefs(
        channel="C1",
        language="de",
        notify=Notify.DAILY,
        daily_at="17:30",
        may_retry=("U1",),
        hide_amounts=True,
        chosen=True,
    )
    assert chosen.prefs == expected


def test_an_impossible_own_id_is_named() -> None:
    wrong = settings_modal.read(submitted(sender={"value": "DE123"}), Prefs())
    assert wrong == {"sender": "peppol.malformed"}


def test_choices_that_do_not_exist_change_nothing() -> None:
    given = submitted(language={"selected_option": {"value": "xx"}}, notify={})
    chosen = settings_modal.read(given, Prefs(language="de", notify=Notify.FAILURES))
    assert isinstance(chosen, settings_modal.Chosen)
    assert (chosen.prefs.language, chosen.prefs.notify) == ("de", Notify.FAILURES)


def test_only_slack_users_are_kept_of_whom_to_mention() -> None:
    users = {"selected_users": ["U0MEMBER", "<!channel>", "W1", *(f"U{n}" for n in range(9))]}
    chosen = settings_modal.read(submitted(mention=users), Prefs())
    assert isinstance(chosen, settings_modal.Chosen)
    assert chosen.prefs.mention == ("U0MEMBER", "W1", "U0", "U1", "U2")
