"""From sevDesk's bytes to a document that can be sent, or to what a person must do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sync.documents.errors import WorkerError
from sync.documents.pipeline import DocumentPreparer
from sync.documents.read import read
from sync.documents.source import SourceDocument
from sync.documents.work import Made, Plan
from sync.errors import Kind, Reason
from sync.model import DocumentType, ParticipantId
from sync.peppol import doctypes as dt
from sync.peppol.access_point import (
    Capabilities,
    Find,
    Lookup,
    LookupDown,
    NotRegistered,
    Registered,
    Webhook,
)
from sync.ports import NotPrepared, Order, Prepared
from tests.unit.documents_support import ALL, InPlace, changed, load

BIS = Registered(frozenset(dt.BIS_UBL))
EVERYTHING = Registered(frozenset(t.id for t in dt.SENDABLE))
NOT_THERE = NotRegistered(Reason(code="peppol.lookup.not_registered"))
CARRIES_ALL = Capabilities(
    name="Stand-in",
    idempotency_key=False,
    find=Find.NONE,
    two_phase=False,
    document_types=None,
    max_document_bytes=10_000_000,
    webhook=Webhook.NONE,
    sends_sender=True,
    own_lookup=False,
)


class Network:
    """Look-ups by scheme; notes who was asked for."""

    def __init__(self, **by_scheme: Lookup) -> None:
        """`s0204=…`; schemes that are not named are not registered."""
        self._answers = by_scheme
        self.asked: list[str] = []

    async def look(self, participant: ParticipantId) -> Lookup:
        """Answer for one participant."""
        self.asked.append(str(participant))
        return self._answers.get(f"s{participant.scheme}", NOT_THERE)


async def prepare(
    source: bytes,
    network: Network,
    order: Order | None = None,
    capabilities: Capabilities = CARRIES_ALL,
) -> Prepared | NotPrepared:
    """The pipeline without a process."""
    preparer = DocumentPreparer(InPlace(), network.look, capabilities)
    return await preparer.prepare(source, order or Order())


async def prepared(source: bytes, network: Network, **more: object) -> Prepared:
    """The prepared document; fails if there is none."""
    outcome = await prepare(source, network, **more)  # type: ignore[arg-type]
    assert isinstance(outcome, Prepared), outcome
    return outcome


async def not_prepared(source: bytes, network: Network, **more: object) -> NotPrepared:
    """Why there is no document; fails if there is one."""
    outcome = await prepare(source, network, **more)  # type: ignore[arg-type]
    assert isinstance(outcome, NotPrepared), outcome
    return outcome


async def test_a_leitweg_id_receives_bis_ubl() -> None:
    outcome = await prepared(load(), Network(s0204=BIS))
    assert outcome.document_type == dt.BIS_INVOICE
    assert str(outcome.receiver) == "0204:99661-MUSTER-95"
    assert str(outcome.sender) == "9930:DE136695976"
    assert outcome.country == "DE"


async def test_envelope_and_document_name_the_same_participants() -> None:
    outcome = await prepared(load(), Network(s0204=BIS))
    document = read(outcome.content)
    assert str(document.seller.endpoint) == str(outcome.sender)
    assert str(document.buyer.endpoint) == str(outcome.receiver)


@pytest.mark.parametrize(
    ("name", "registered", "expected"),
    [
        ("xrechnung-cii.xml", BIS, dt.BIS_INVOICE),
        ("xrechnung-cii.xml", EVERYTHING, dt.XR_CII),
        ("xrechnung-cii-credit-note.xml", BIS, dt.BIS_CREDIT_NOTE),
        ("xrechnung-cii-credit-note.xml", EVERYTHING, dt.XR_CII),
        ("xrechnung-cii-attachment.xml", BIS, dt.BIS_INVOICE),
        ("xrechnung-ubl.xml", BIS, dt.BIS_INVOICE),
        ("xrechnung-ubl.xml", EVERYTHING, dt.XR_UBL_INVOICE),
        ("xrechnung-ubl-credit-note.xml", EVERYTHING, dt.XR_UBL_CREDIT_NOTE),
        ("xrechnung-cii.xml", Registered(frozenset({dt.BIS_CII.id})), dt.BIS_CII),
    ],
)
async def test_the_document_is_what_the_receiver_registered(
    name: str, registered: Registered, expected: DocumentType
) -> None:
    outcome = await prepared(load(name), Network(s0204=registered))
    assert outcome.document_type == expected
    syntax, _, specification = expected.id.partition("##")
    document = read(outcome.content)
    assert specification.rpartition("::")[0] == document.customization
    assert syntax.rpartition("::")[2] == document.root


async def test_what_the_access_point_cannot_carry_is_converted() -> None:
    only_bis = replace(CARRIES_ALL, document_types=frozenset(dt.BIS_UBL))
    outcome = await prepared(load(), Network(s0204=EVERYTHING), capabilities=only_bis)
    assert outcome.document_type == dt.BIS_INVOICE


async def test_plain_zugferd_takes_its_buyer_reference_from_the_contact() -> None:
    order = Order(vat_number="DE813579246", buyer_reference="4711")
    outcome = await prepared(load("zugferd-cii.xml"), Network(s9930=BIS), order=order)
    assert read(outcome.content).buyer_reference == "4711"
    assert "XTOOL-BT-10" in [warning.rule for warning in outcome.warnings]


async def test_a_persons_choice_is_the_receiver() -> None:
    chosen = ParticipantId(scheme="0208", value="0202239951")
    network = Network(s0208=BIS, s0204=BIS)
    outcome = await prepared(load(), network, order=Order(chosen=chosen))
    assert outcome.receiver == chosen
    assert network.asked == ["0208:0202239951"]


async def test_a_setting_is_the_sender() -> None:
    ours = ParticipantId(scheme="0088", value="4012345000009")
    outcome = await prepared(load(), Network(s0204=BIS), order=Order(sender=ours))
    assert outcome.sender == ours
    assert str(read(outcome.content).seller.endpoint) == "0088:4012345000009"


async def test_no_own_id_asks_for_it_without_looking_anything_up() -> None:
    network = Network(s0204=BIS)
    outcome = await not_prepared(changed('schemeID="VA">DE136695976', 'schemeID="FC">1'), network)
    assert outcome.reason.code == "sender.missing"
    assert outcome.reason.kind is Kind.PRECONDITION
    assert network.asked == []


async def test_an_unknown_receiver_comes_with_what_was_tried() -> None:
    order = Order(vat_number="DE813579246")
    outcome = await not_prepared(load(), Network(), order=order)
    assert outcome.reason.code == "receiver.unknown"
    assert [str(p) for p in outcome.candidates] == [
        "0204:99661-MUSTER-95",
        "0246:DE813579246",
        "9930:DE813579246",
    ]


async def test_several_receivers_come_with_the_reachable_ones_first() -> None:
    source = changed("99661-MUSTER-95", "Bestellung 4711")
    order = Order(vat_number="ATU13585627")
    source = source.replace(
        b"<ram:BuyerTradeParty>\n        <ram:Name>",
        b'<ram:BuyerTradeParty>\n        <ram:GlobalID schemeID="0088">4012345000009'
        b"</ram:GlobalID><ram:Name>",
    )
    outcome = await not_prepared(source, Network(s9914=BIS, s0088=BIS), order=order)
    assert outcome.reason.code == "receiver.ambiguous"
    assert {str(p) for p in outcome.candidates} == {"9914:ATU13585627", "0088:4012345000009"}


async def test_a_lookup_that_is_down_is_tried_again_by_itself() -> None:
    down = LookupDown(Reason(code="peppol.lookup.down", kind=Kind.TRANSIENT))
    outcome = await not_prepared(load(), Network(s0204=down))
    assert outcome.reason.code == "receiver.lookup_down"
    assert outcome.reason.kind is Kind.TRANSIENT


async def test_a_receiver_of_orders_only_is_its_own_answer() -> None:
    outcome = await not_prepared(load(), Network(s0204=Registered(frozenset({"urn:order"}))))
    assert outcome.reason.code == "receiver.no_document_type"


async def test_an_invalid_document_comes_with_findings_and_the_rules_that_judged() -> None:
    source = changed(">351.35</ram:GrandTotalAmount>", ">353.35</ram:GrandTotalAmount>")
    outcome = await not_prepared(source, Network(s0204=BIS))
    assert outcome.reason.code == "document.invalid"
    assert outcome.reason.kind is Kind.PRECONDITION
    assert "BR-CO-15" in [f.rule for f in outcome.reason.findings]
    assert outcome.rules.startswith("Peppol BIS 3.0.21")


async def test_what_is_no_document_is_refused_before_any_lookup() -> None:
    network = Network(s0204=BIS)
    outcome = await not_prepared(b"<!DOCTYPE a><a/>", network)
    assert outcome.reason.code == "document.doctype"
    assert network.asked == []


async def test_a_document_that_the_access_point_finds_too_large_is_told() -> None:
    small = replace(CARRIES_ALL, max_document_bytes=1_000)
    outcome = await not_prepared(load(), Network(s0204=BIS), capabilities=small)
    assert outcome.reason.code == "peppol.access_point.too_large"
    assert outcome.reason.params["limit"] == "1000"


async def test_a_worker_that_is_gone_is_tried_again_by_itself() -> None:
    class Gone:
        async def read(self, source: bytes) -> SourceDocument:
            raise WorkerError("gone")

        async def make(self, source: bytes, plan: Plan) -> tuple[Made, bytes]:
            raise WorkerError("gone")

    preparer = DocumentPreparer(Gone(), Network().look, CARRIES_ALL)
    outcome = await preparer.prepare(load(), Order())
    assert isinstance(outcome, NotPrepared)
    assert outcome.reason.kind is Kind.TRANSIENT


@pytest.mark.parametrize("name", ALL)
async def test_preparing_twice_gives_the_same_bytes(name: str) -> None:
    order = Order(buyer_reference="4711", vat_number="DE813579246")
    network = Network(s0204=BIS, s9930=BIS)
    one = await prepared(load(name), network, order=order)
    other = await prepared(load(name), network, order=order)
    assert one.sha256 == other.sha256
