"""Who may do what, and the one key of an organisation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.authz import Need, Person, Verdict, verdict
from bot.orgs import org_key

ORG, GRID = "T0LINDHOF", "E0GRID"


def person(**changes: Any) -> Person:
    return Person(**{"id": "U0MEMBER", "team_id": ORG, **changes})


def judged(need: Need, who: Person, **given: Any) -> Verdict:
    return verdict(need, who, **{"org": ORG, "managers": (), "chosen": (), **given})


@pytest.mark.parametrize("need", [Need.VIEW, Need.OPERATE])
def test_members_may_see_and_send(need: Need) -> None:
    assert judged(need, person()) is Verdict.YES


def test_members_may_not_manage() -> None:
    assert judged(Need.MANAGE, person()) is Verdict.NOT_MANAGER


@pytest.mark.parametrize("need", Need)
def test_admins_may_everything(need: Need) -> None:
    assert judged(need, person(is_admin=True), chosen=("U0OTHER",)) is Verdict.YES


def test_who_installed_or_connected_may_manage() -> None:
    assert judged(Need.MANAGE, person(), managers=("U0MEMBER",)) is Verdict.YES


def test_only_chosen_people_may_send_where_some_are_chosen() -> None:
    assert judged(Need.OPERATE, person(), chosen=("U0OTHER",)) is Verdict.NOT_CHOSEN
    assert judged(Need.OPERATE, person(), chosen=("U0MEMBER",)) is Verdict.YES


@pytest.mark.parametrize("need", Need)
def test_guests_may_nothing_even_if_chosen_or_admin(need: Need) -> None:
    guest = person(is_guest=True, is_admin=True)
    chosen = {"chosen": ("U0MEMBER",), "managers": ("U0MEMBER",)}
    assert judged(need, guest, **chosen) is Verdict.GUEST


@pytest.mark.parametrize("need", Need)
@pytest.mark.parametrize("changes", [{"team_id": "T0PARTNER"}, {"is_stranger": True}])
def test_people_of_other_companies_may_nothing(need: Need, changes: dict[str, Any]) -> None:
    foreigner = person(is_admin=True, **changes)
    assert judged(need, foreigner, managers=("U0MEMBER",)) is Verdict.FOREIGN


def test_deactivated_accounts_and_bots_may_nothing() -> None:
    assert judged(Need.VIEW, person(is_gone=True, is_admin=True)) is Verdict.GONE


def test_with_an_org_install_every_workspace_of_the_grid_counts() -> None:
    member = person(team_id="T0OTHER", enterprise_id=GRID)
    assert judged(Need.VIEW, member, org=GRID) is Verdict.YES


def test_with_an_org_install_people_outside_of_the_grid_do_not() -> None:
    assert judged(Need.VIEW, person(), org=GRID) is Verdict.FOREIGN


def test_what_slack_does_not_say_gives_no_right() -> None:
    found = Person.parse({"id": "U1", "team_id": ORG, "is_admin": "yes"})
    assert not found.is_admin


@pytest.mark.parametrize("user", [{}, {"id": 7, "team_id": ORG}, {"id": "U1"}])
def test_a_person_without_ids_is_refused(user: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no user or team"):
        Person.parse(user)


def test_the_key_is_the_workspace_or_the_organisation() -> None:
    assert org_key(GRID, ORG, False) == ORG
    assert org_key(GRID, ORG, True) == GRID
    assert org_key(GRID, None, True) == GRID


ODD = st.none() | st.text(max_size=8) | st.sampled_from(["T1}", "T 1", "*", "T1:bot"])


@given(ODD, ODD, st.booleans())
def test_no_key_holds_anything_but_a_slack_id(
    enterprise: str | None, team: str | None, grid: bool
) -> None:
    try:
        key = org_key(enterprise, team, grid)
    except ValueError:
        return
    assert key.isascii()
    assert key.isalnum()
    assert key == (enterprise if grid else team)
