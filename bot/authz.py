"""Who may do what. Pure: the person as Slack describes them, and what they ask for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Need(StrEnum):
    """What an action asks for."""

    VIEW = "view"  # status, lists: full members
    OPERATE = "operate"  # sync, send, retry: full members or the chosen people
    MANAGE = "manage"  # connect, settings, disconnect: admins, who installed or connected


class Verdict(StrEnum):
    """The answer; all but `YES` name a sentence `denied.<verdict>`."""

    YES = "yes"
    FOREIGN = "foreign"  # of another company, in a shared channel
    GUEST = "guest"
    NOT_CHOSEN = "not_chosen"
    NOT_MANAGER = "not_manager"
    GONE = "gone"  # a deactivated account or a bot


@dataclass(frozen=True, slots=True)
class Person:
    """A person as `users.info` describes them."""

    id: str
    team_id: str
    enterprise_id: str = ""
    is_admin: bool = False
    is_guest: bool = False
    is_stranger: bool = False
    is_gone: bool = False
    locale: str = ""
    timezone: str = ""

    @classmethod
    def parse(cls, user: Mapping[str, Any]) -> Person:
        """From the `user` object of `users.info`. Raises `ValueError` without ids.

        What is missing is read against the person: a field that Slack did not send gives no
        right.
        """
        user_id, team_id = user.get("id"), user.get("team_id")
        if not isinstance(user_id, str) or not isinstance(team_id, str):
            raise ValueError("users.info names no user or team")  # noqa: TRY004 - broken data
        grid = user.get("enterprise_user")
        enterprise = grid.get("enterprise_id") if isinstance(grid, Mapping) else None
        return cls(
            id=user_id,
            team_id=team_id,
            enterprise_id=str(enterprise or ""),
            is_admin=_any(user, "is_admin", "is_owner", "is_primary_owner"),
            is_guest=_any(user, "is_restricted", "is_ultra_restricted"),
            is_stranger=_any(user, "is_stranger"),
            is_gone=_any(user, "deleted", "is_bot"),
            locale=str(user.get("locale") or ""),
            timezone=str(user.get("tz") or ""),
        )


def _any(user: Mapping[str, Any], *names: str) -> bool:
    return any(user.get(name) is True for name in names)


def verdict(
    need: Need,
    person: Person,
    *,
    org: str,
    managers: Collection[str],
    chosen: Collection[str],
) -> Verdict:
    """Whether `person` may do what `need` stands for.

    `org` is the organisation key, `managers` who installed or connected, `chosen` who may retry
    (empty: all full members).
    """
    if person.is_gone:
        return Verdict.GONE
    if person.is_stranger or not _same_company(person, org):
        return Verdict.FOREIGN
    if person.is_guest:
        return Verdict.GUEST
    manages = person.is_admin or person.id in managers
    if need is Need.MANAGE:
        return Verdict.YES if manages else Verdict.NOT_MANAGER
    if need is Need.OPERATE and chosen and not manages and person.id not in chosen:
        return Verdict.NOT_CHOSEN
    return Verdict.YES


def _same_company(person: Person, org: str) -> bool:
    """With an installation on a Grid organisation (its key begins with E) any of its workspaces."""
    if org.startswith("E"):
        return org in (person.enterprise_id, person.team_id)
    return person.team_id == org
