"""Whether a Peppol id can be right: scheme, form and check digit, without any network.

Values are compared without regard to case (Peppol Policy for use of Identifiers, policy 5); the
SML hashes the lower-cased form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sync.errors import Reason
from sync.model import ParticipantId
from sync.peppol.errors import ParticipantError, because
from sync.peppol.schemes import SCHEMES, Scheme

IDENTIFIER_SCHEME: Final = "iso6523-actorid-upis"

_SEPARATORS: Final = re.compile(r"[\s./-]+")
_SPACES: Final = re.compile(r"\s+")

Problem = Reason
"""Why an id cannot be right: one of the `peppol.participant.…` codes."""


def normalised(participant: ParticipantId) -> ParticipantId:
    """The id in upper case, as it is written into documents and shown."""
    return participant.model_copy(update={"value": participant.value.upper()})


def key(participant: ParticipantId) -> str:
    """`scheme:value` in lower case: equal for ids that are the same participant."""
    return str(participant).lower()


def same(one: ParticipantId, other: ParticipantId) -> bool:
    """Whether both name the same participant."""
    return key(one) == key(other)


def distinct(participants: Iterable[ParticipantId]) -> tuple[ParticipantId, ...]:
    """The participants in their order, each once."""
    first: dict[str, ParticipantId] = {}
    for one in participants:
        first.setdefault(key(one), one)
    return tuple(first.values())


def qualified(participant: ParticipantId) -> str:
    """`iso6523-actorid-upis::scheme:value` in lower case, as SMPs and phoss-ap use it."""
    return f"{IDENTIFIER_SCHEME}::{key(participant)}"


def check(participant: ParticipantId) -> Problem | None:
    """What is wrong with the id, or None. Says nothing about whether it is registered."""
    scheme = SCHEMES.get(participant.scheme)
    if scheme is None:
        return because(
            "peppol.participant.unknown_scheme",
            participant=str(participant),
            scheme=participant.scheme,
        )
    if scheme.state == "removed":
        return because(
            "peppol.participant.retired_scheme",
            participant=str(participant),
            scheme=scheme.code,
            scheme_name=scheme.name,
        )
    return _check_value(participant, scheme)


def _check_value(participant: ParticipantId, scheme: Scheme) -> Problem | None:
    value = participant.value.upper()
    if not scheme.form.fullmatch(value):
        return because(
            "peppol.participant.form",
            participant=str(participant),
            scheme_name=scheme.name,
            example=f"{scheme.code}:{scheme.example}" if scheme.example else "",
        )
    if scheme.check is not None and not scheme.check(value):
        return because(
            "peppol.participant.check_digit",
            participant=str(participant),
            scheme_name=scheme.name,
        )
    return None


def valid(participant: ParticipantId) -> bool:
    """Whether nothing speaks against the id."""
    return check(participant) is None


def parse(text: str) -> ParticipantId:
    """Read a Peppol id as a person types it.

    Blanks are dropped, letters become capitals, and dots, blanks, slashes and hyphens that the
    scheme's form has no place for are dropped too: `0208: 0202.239.951` is `0208:0202239951`.
    Raises `ParticipantError` with the problem as its reason.
    """
    plain = _SPACES.sub("", text[:300]).removeprefix(f"{IDENTIFIER_SCHEME}::")
    try:
        participant = normalised(ParticipantId.parse(plain))
    except ValueError:
        raise ParticipantError(because("peppol.participant.malformed", text=text)) from None
    participant = _without_separators(participant)
    if problem := check(participant):
        raise ParticipantError(problem)
    return participant


def _without_separators(participant: ParticipantId) -> ParticipantId:
    scheme = SCHEMES.get(participant.scheme)
    compact = _SEPARATORS.sub("", participant.value)
    if scheme is None or not compact or scheme.form.fullmatch(participant.value):
        return participant
    if not scheme.form.fullmatch(compact):
        return participant
    return participant.model_copy(update={"value": compact})
