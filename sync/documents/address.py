"""Who an invoice goes to and who sends it. Pure: what a look-up said comes in as data.

Never guess. There are two kinds of candidates:

* **stated** - somebody wrote down this Peppol address: a person's choice in Slack, the contact's
  field "Peppol ID" in sevDesk, the invoice's electronic address (BT-49). The most trusted one is
  asked alone. If it cannot be reached, nothing else is used in its place; the rest is offered.
* **derived** - an address follows from other data: a Leitweg-ID (BT-10, the contact's buyer
  reference), an identifier with an ISO 6523 scheme (BT-46, BT-47), a VAT number. A reachable
  Leitweg-ID is used, since routing is what it is for. Of the others all are asked, and exactly
  one reachable organisation is used.

Two ids of one organisation are no ambiguity: a German VAT number gives 0246 and 9930, a Belgian
one 0208 and 9925. If both are reachable it is the same legal entity, and the scheme that was made
for addressing is used (0246, 0208, 0225), which stands first in `vat.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from sync.documents import vat
from sync.documents.source import Identifier, SourceDocument
from sync.errors import Kind, Reason
from sync.model import ParticipantId
from sync.peppol import participants
from sync.peppol.access_point import Lookup, LookupDown, NotRegistered, Registered
from sync.peppol.errors import ParticipantError


class Origin(StrEnum):
    """Where a candidate comes from, most trusted first."""

    CHOSEN = "chosen"  # a person chose it for this contact
    CONTACT_FIELD = "contact_field"  # the contact's field "Peppol ID"
    ENDPOINT = "endpoint"  # BT-49 with a Peppol scheme
    LEITWEG_INVOICE = "leitweg_invoice"  # BT-10
    LEITWEG_CONTACT = "leitweg_contact"  # the contact's buyer reference
    BUYER_ID = "buyer_id"  # BT-46, BT-47 with an ISO 6523 scheme
    VAT_INVOICE = "vat_invoice"  # BT-48
    VAT_CONTACT = "vat_contact"  # the contact's VAT number


STATED: Final = frozenset({Origin.CHOSEN, Origin.CONTACT_FIELD, Origin.ENDPOINT})
_LEITWEG: Final = frozenset({Origin.LEITWEG_INVOICE, Origin.LEITWEG_CONTACT})
_LEITWEG_LABEL: Final = re.compile(r"^leitweg[\s-]*id\s*[:=]?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ContactFacts:
    """What sevDesk and a person say about the receiver, beside the invoice."""

    vat_number: str = ""
    buyer_reference: str = ""
    peppol_id: str = ""  # the contact's field "Peppol ID", as typed
    chosen: ParticipantId | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An address that may be the receiver's. Its form and check digits are right."""

    participant: ParticipantId
    origin: Origin
    organisation: str  # equal for ids of one legal entity


@dataclass(frozen=True, slots=True)
class Refused:
    """An address that was written somewhere and cannot be right."""

    text: str
    origin: Origin
    reason: Reason


@dataclass(frozen=True, slots=True)
class Candidates:
    """All that could be the receiver, most trusted first, each once; and what cannot be."""

    found: tuple[Candidate, ...] = ()
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The receiver, and what it takes."""

    candidate: Candidate
    registered: Registered


@dataclass(frozen=True, slots=True)
class Blocked:
    """A person must act. `reachable` are offered first, then the other `candidates`."""

    reason: Reason
    candidates: tuple[ParticipantId, ...] = ()
    reachable: tuple[ParticipantId, ...] = field(default=())


def candidates(document: SourceDocument, contact: ContactFacts) -> Candidates:
    """Every receiver that the invoice and the contact give, most trusted first."""
    found: dict[str, Candidate] = {}
    refused: list[Refused] = []
    entities = _entities(document, contact)
    for origin, text, participant in _given(document, contact):
        problem = _problem(participant)
        if participant is None or problem is not None:
            if origin is not Origin.VAT_INVOICE and origin is not Origin.VAT_CONTACT:
                refused.append(Refused(text, origin, problem or _malformed(text)))
            continue
        known = participants.normalised(participant)
        key = participants.key(known)
        found.setdefault(key, Candidate(known, origin, entities.get(key, key)))
    return Candidates(tuple(found.values()), tuple(refused))


def sender(document: SourceDocument, setting: ParticipantId | None) -> ParticipantId | None:
    """Our own id: the setting, else the invoice's BT-34 if Peppol knows its scheme, else what
    follows from the seller's VAT number (BT-31). None: a person must set it."""
    if setting is not None:
        return setting
    own = _as_participant(document.seller.endpoint)
    derived = own or vat.sender_participant(document.seller.vat_id)
    if derived is None or not participants.valid(derived):
        return None
    return participants.normalised(derived)


def to_ask(given: Candidates) -> tuple[ParticipantId, ...]:
    """The candidates to look up: the most trusted stated one alone, else all."""
    stated = [c.participant for c in given.found if c.origin in STATED]
    return tuple(stated[:1]) or tuple(c.participant for c in given.found)


def choose(
    given: Candidates,
    lookups: Mapping[str, Lookup],
    takes: Callable[[Registered], bool],
) -> Chosen | Blocked:
    """The one receiver, or why a person must say.

    `lookups` are by `participants.key`, for `to_ask`. `takes` tells whether a registered
    participant takes a document that we can make of this invoice; one that does not is not
    reachable for us.
    """
    if not given.found:
        return _blocked("receiver.no_candidate", given)
    asked = {participants.key(p) for p in to_ask(given)}
    ladder = [c for c in given.found if participants.key(c.participant) in asked]
    for candidate in ladder:
        if candidate.origin not in STATED and candidate.origin not in _LEITWEG:
            break
        answer = _answer(lookups, candidate)
        if isinstance(answer, Registered) and takes(answer):
            return Chosen(candidate, answer)
        if isinstance(answer, LookupDown):
            return _down(given, answer)
    return _exactly_one(given, ladder, lookups, takes)


def _exactly_one(
    given: Candidates,
    ladder: list[Candidate],
    lookups: Mapping[str, Lookup],
    takes: Callable[[Registered], bool],
) -> Chosen | Blocked:
    answers = [(candidate, _answer(lookups, candidate)) for candidate in ladder]
    hits = [(c, a) for c, a in answers if isinstance(a, Registered) and takes(a)]
    organisations = {c.organisation for c, _ in hits}
    # An id that could not be looked up may be another organisation: then it is not certain yet.
    unsure = [
        a for c, a in answers if isinstance(a, LookupDown) and c.organisation not in organisations
    ]
    if len(organisations) > 1:
        return _blocked("receiver.ambiguous", given, tuple(c.participant for c, _ in hits))
    if unsure:
        return _down(given, unsure[0])
    if hits:
        return Chosen(*hits[0])
    return _none_reachable(given, [answer for _, answer in answers])


def _none_reachable(given: Candidates, answers: list[Lookup]) -> Blocked:
    if any(isinstance(answer, Registered) for answer in answers):
        return _blocked("receiver.no_document_type", given)
    if any(isinstance(answer, NotRegistered) and not answer.certain for answer in answers):
        return _blocked("receiver.not_confirmed", given)
    return _blocked("receiver.unknown", given)


def _answer(lookups: Mapping[str, Lookup], candidate: Candidate) -> Lookup:
    found = lookups.get(participants.key(candidate.participant))
    return found or LookupDown(Reason(code="receiver.lookup_down", kind=Kind.TRANSIENT))


def _down(given: Candidates, answer: LookupDown) -> Blocked:
    return _blocked(
        "receiver.lookup_down",
        given,
        kind=Kind.TRANSIENT,
        why=answer.reason.params.get("detail", ""),
    )


def _blocked(
    code: str,
    given: Candidates,
    reachable: tuple[ParticipantId, ...] = (),
    *,
    kind: Kind = Kind.PRECONDITION,
    **params: str,
) -> Blocked:
    everyone = tuple(c.participant for c in given.found)
    # What was written down but cannot be right is worth naming: it is often a typing error.
    wrong = ", ".join(refused.text for refused in given.refused)[:200]
    named = reachable or to_ask(given)
    params = {"candidates": ", ".join(map(str, named)), "refused": wrong, **params}
    return Blocked(Reason(code=code, kind=kind, params=params), everyone, reachable)


_Given = tuple[Origin, str, ParticipantId | None]


def _given(document: SourceDocument, contact: ContactFacts) -> Iterator[_Given]:
    """Every place, most trusted first: its text and the id that it gives, if it gives one."""
    if contact.chosen is not None:
        yield Origin.CHOSEN, str(contact.chosen), contact.chosen
    if contact.peppol_id.strip():
        yield Origin.CONTACT_FIELD, contact.peppol_id.strip()[:100], _typed(contact.peppol_id)
    endpoint = _as_participant(document.buyer.endpoint)
    if endpoint is not None:
        yield Origin.ENDPOINT, str(endpoint), endpoint
    yield from _leitweg(Origin.LEITWEG_INVOICE, document.buyer_reference)
    yield from _leitweg(Origin.LEITWEG_CONTACT, contact.buyer_reference)
    for identifier in (*document.buyer.ids, document.buyer.legal_id):
        if (participant := _as_participant(identifier)) is not None:
            yield Origin.BUYER_ID, str(participant), participant
    for origin, number in _vat_numbers(document, contact):
        for participant in vat.participants(number):
            yield origin, number, participant


def _vat_numbers(document: SourceDocument, contact: ContactFacts) -> tuple[tuple[Origin, str], ...]:
    return (
        (Origin.VAT_INVOICE, document.buyer.vat_id),
        (Origin.VAT_CONTACT, contact.vat_number),
    )


def _leitweg(origin: Origin, text: str) -> Iterator[_Given]:
    """A buyer reference is free text: only what is a Leitweg-ID as a whole is taken for one."""
    value = _LEITWEG_LABEL.sub("", text.strip()).upper()
    participant = _participant("0204", value)
    if participant is not None and participants.valid(participant):
        yield origin, value, participant


def _entities(document: SourceDocument, contact: ContactFacts) -> dict[str, str]:
    """Which ids are one legal entity: those that follow from one VAT number."""
    return {
        participants.key(participant): f"vat:{vat.compact(number)}"
        for _, number in _vat_numbers(document, contact)
        for participant in vat.participants(number)
    }


def _as_participant(identifier: Identifier | None) -> ParticipantId | None:
    """An identifier whose scheme is one of Peppol's: four digits (`EM`, `VA` are not)."""
    return None if identifier is None else _participant(identifier.scheme, identifier.value)


def _participant(scheme: str, value: str) -> ParticipantId | None:
    try:
        return ParticipantId.parse(f"{scheme}:{value}")
    except ValueError:
        return None


def _typed(text: str) -> ParticipantId | None:
    try:
        return participants.parse(text)
    except ValueError:
        return None


def _problem(participant: ParticipantId | None) -> Reason | None:
    return None if participant is None else participants.check(participant)


def _malformed(text: str) -> Reason:
    """The participant module's own words for what is wrong with a typed id."""
    try:
        participants.parse(text)
    except ParticipantError as error:
        return error.reason
    return Reason(code="peppol.participant.malformed", kind=Kind.PRECONDITION)
