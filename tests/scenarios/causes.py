"""How each row of the table "What happens when …" in docs/documents.md is made to happen."""

from __future__ import annotations

from collections.abc import Callable

import dns.rcode

from sync.peppol import doctypes, participants
from sync.settings import Provider
from tests.sandbox.access_points import EInvoiceBeStandIn, Fault, PhossApStandIn
from tests.sandbox.access_points.network import Listing
from tests.sandbox.cii import Flaw
from tests.scenarios.story import Cause, Happen, Scene, receiver

SECRET_FILE_TEXT = "root:x:0:0"  # what a document would hold that could read /etc/passwd


def answers(status: int, body: object) -> Happen:
    """The access point answers each submission like this and takes nothing."""
    return receiver(answer=(status, body))


def errors(status: int, *told: str, **fields: list[str]) -> Happen:
    """As `answers`, in Recommand's form."""
    return answers(status, {"success": False, "errors": {"root": list(told), **fields}})


def flaw(one: Flaw) -> Happen:
    """The document is wrong."""
    return lambda scene: scene.account.edit(scene.invoice, flaws=frozenset({one}))


def document(make: Callable[[str], str]) -> Happen:
    """The document is something else, made of what it was."""

    def happen(scene: Scene) -> None:
        made = make(scene.account.xml(scene.invoice)).encode()
        scene.account.edit(scene.invoice, xml=made)

    return happen


def both(one: Happen, other: Happen) -> Happen:
    """One after the other."""

    def happen(scene: Scene) -> None:
        one(scene)
        other(scene)

    return happen


def no_xml(status: int, message: str) -> Happen:
    """sevDesk gives no document."""
    return lambda scene: scene.account.edit(scene.invoice, xml_error=(status, message))


def dns_says(code: dns.rcode.Rcode | None) -> Happen:
    """The name server has trouble with this receiver alone."""

    def happen(scene: Scene) -> None:
        assert scene.world.network
        scene.world.network.names.disturb(scene.participant, code)

    return happen


def smp_is(url: str) -> Happen:
    """The receiver's SMP is elsewhere: `{0}` is the address of the access point's stand-in."""

    def happen(scene: Scene) -> None:
        assert scene.world.network
        scene.world.network.names.point(scene.participant, url)

    return happen


def broken_smp(scene: Scene) -> None:
    """An SMP whose answers are all 503: of a participant that it has trouble with."""
    assert scene.world.network
    scene.world.network.publisher.troubled.add(participants.qualified(scene.participant))


def _swapped(xml: str) -> str:
    """Type code before number: the schema's order is the other way round."""
    head, _, rest = xml.partition("<rsm:ExchangedDocument>")
    start, end = rest.index("<ram:ID>"), rest.index("</ram:ID>") + len("</ram:ID>")
    code_end = rest.index("</ram:TypeCode>") + len("</ram:TypeCode>")
    swapped = rest[:start] + rest[end:code_end] + rest[start:end] + rest[code_end:]
    return f"{head}<rsm:ExchangedDocument>{swapped}"


def _with_attachment(xml: str) -> str:
    """An attached drawing as XML, which XRechnung carries and BIS does not."""
    attached = (
        "<ram:AdditionalReferencedDocument><ram:IssuerAssignedID>1</ram:IssuerAssignedID>"
        "<ram:TypeCode>916</ram:TypeCode><ram:Name>Plan</ram:Name>"
        '<ram:AttachmentBinaryObject mimeCode="application/xml" filename="plan.xml">PHg+PC94Pg=='
        "</ram:AttachmentBinaryObject></ram:AdditionalReferencedDocument>"
    )
    end = "</ram:ApplicableHeaderTradeAgreement>"
    return xml.replace(end, attached + end)


def _reads_a_file(xml: str) -> str:
    doctype = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    return xml.replace("?>\n", f"?>\n{doctype}\n", 1).replace("Beratung", "&f;")


def _without_lines(xml: str) -> str:
    start = xml.index("<ram:IncludedSupplyChainTradeLineItem>")
    line = "</ram:IncludedSupplyChainTradeLineItem>"
    minimum = "urn:factur-x.eu:1p0:minimum"
    xrechnung = "urn:cen.eu:en16931:2017#compliant#urn:xeinkauf.de:kosit:xrechnung_3.0"
    return (xml[:start] + xml[xml.rindex(line) + len(line) :]).replace(xrechnung, minimum)


def mls_rejects(scene: Scene) -> bool:
    """The receiver's access point answers RE once the document is on its way."""
    point = scene.world.access_point
    assert isinstance(point, PhossApStandIn)
    point.mls.update({one.id: "received_re" for one in scene.taken})
    return bool(scene.taken)


def buyer_rejects(scene: Scene) -> bool:
    """The buyer answers RE, once, after the document was delivered."""
    point = scene.world.access_point
    assert isinstance(point, EInvoiceBeStandIn)
    for one in scene.taken:
        if one.delivered and not point.drafts[one.id].answers:
            point.answer(one.id, "imr_received", response_code="RE", text="Wrong order number")
    return any(point.drafts[one.id].answers for one in scene.taken)


def by_email(**more: object) -> Happen:
    """Recommand's answer when the company's settings let it fall back to e-mail."""
    return answers(200, {
        "success": True, "id": "doc_mailed", "peppolMessageId": None, "sentOverPeppol": False,
        "sentOverEmail": True, "emailRecipients": ["x@kunde.example"], **more,
    })  # fmt: skip


BE: Provider = "e-invoice-be"
PHOSS: Provider = "phoss-ap"
BIS = doctypes.BIS_INVOICE
XRECHNUNG = doctypes.XR_CII


def lost(what: str, fault: Fault) -> Cause:
    """The answer of the access point does not come, or says nothing."""
    return Cause(what, receiver(fault=fault), slow=True)


def as4_without_end(result: str) -> Cause:
    """The exchange with the receiver's access point began, and how it ended is not known."""
    body = {
        "success": False,
        "errors": {"root": ["Failed to send document over Peppol network."]},
        "deliveryFailure": {"channel": "peppol", "category": result.lower()},
    }
    return Cause(f"the AS4 exchange has no end ({result})", answers(422, body), slow=True)


CAUSES = (
    # the look-up
    Cause("the name system answers with an error", dns_says(dns.rcode.SERVFAIL)),
    Cause("the name system does not answer", dns_says(None)),
    Cause("the receiver's SMP answers 503", broken_smp),
    Cause("the receiver's SMP cannot be reached", smp_is("http://127.0.0.1:9/smp")),
    Cause("the receiver is not registered on Peppol", Scene.forget),
    Cause("it cannot be told whether the receiver is registered (e-invoice.be)",
          Scene.forget, provider=BE),
    Cause("the receiver registered XRechnung, but its SMP does not know it",
          receiver(Listing(XRECHNUNG, hidden=True), BIS)),
    Cause("the receiver takes XRechnung", receiver(XRECHNUNG, BIS)),
    Cause("the receiver takes nothing that xTool can send", receiver(doctypes.INVOICE_RESPONSE)),
    # the document
    Cause("the totals do not add up", flaw(Flaw.WRONG_TOTAL)),
    Cause("the seller's contact is missing", flaw(Flaw.NO_SELLER_CONTACT)),
    Cause("a unit has no code", flaw(Flaw.WRONG_UNIT)),
    Cause("the order of the elements is wrong", both(receiver(XRECHNUNG), document(_swapped))),
    Cause("an attachment is of a type that Peppol does not carry", document(_with_attachment)),
    Cause("the document has a DOCTYPE that reads a file", document(_reads_a_file)),
    Cause("the document has entities that grow without end", flaw(Flaw.DOCTYPE)),
    Cause("the document is not XML", flaw(Flaw.NOT_WELL_FORMED)),
    Cause("the document is an order", document(lambda _: "<Order xmlns='urn:x'/>")),
    Cause("the document has no lines", document(_without_lines)),
    Cause("the document is larger than 10 MB", document(lambda xml: xml + " " * 11_000_000)),
    Cause("the invoice is not an e-invoice",
          lambda scene: scene.account.edit(scene.invoice, e_invoice=False)),
    Cause("sevDesk lacks IBAN and BIC for the document", no_xml(500, "Missing iban and bic")),
    Cause("sevDesk gives no document three times",
          no_xml(503, "Exception when requesting invoices service"), slow=True),
    # the access point's refusals
    Cause("the access point finds the document invalid (400)",
          errors(400, "Document validation failed.",
                 invoice=["PEPPOL-EN16931-R003: An order reference is required"])),
    Cause("the access point finds the document invalid (e-invoice.be, 406)",
          answers(406, {"detail": "Not acceptable to the receiver"}), provider=BE),
    Cause("the access point finds the document invalid (e-invoice.be, 422)",
          answers(422, {"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]}),
          provider=BE),
    Cause("the access point does not know the ids (phoss-ap, 400)",
          answers(400, "Failed to parse the receiver ID"), provider=PHOSS),
    Cause("the access point refuses the key (401)", errors(401, "Unauthorized")),
    Cause("the subscription does not cover it (401)",
          errors(401, "Team does not have an active billing profile")),
    Cause("the access point does not allow it (403)", errors(403, "Company is not verified")),
    Cause("the access point does not know the company (404)", errors(404, "Company not found")),
    Cause("the sender's id is not allowed (e-invoice.be, 409)",
          answers(409, {"detail": "Document is not allowed to send from the given Peppol ID"}),
          provider=BE),
    # not taken
    Cause("the access point is busy (429)", receiver(fault=Fault.BUSY)),
    Cause("the access point is being maintained (503, Retry-After)",
          receiver(fault=Fault.UNAVAILABLE)),
    Cause("the access point cannot be reached", outage=True),
    # perhaps taken
    lost("the answer is lost, the access point has it", Fault.LOST_ANSWER),
    lost("the answer takes too long, the access point has it", Fault.SLOW),
    lost("the access point answers 500, and has it", Fault.ERROR_AFTER),
    lost("the access point's answer is nonsense, and it has it", Fault.GARBAGE),
    lost("the connection breaks, the access point does not find it", Fault.RESET),
    lost("the access point answers 502, and does not find it", Fault.ERROR_BEFORE),
    as4_without_end("TRANSPORT_ERROR"),
    as4_without_end("NO_SIGNAL_MESSAGE"),
    as4_without_end("INVALID_SIGNAL_MESSAGE"),
    # AS4
    Cause("the first AS4 exchange fails (phoss-ap)", receiver(pending_polls=1), provider=PHOSS),
    Cause("the receiver's access point refuses (PEPPOL:NOT_SERVICED)",
          receiver(BIS, rejects=9, rejection="PEPPOL:NOT_SERVICED")),
    Cause("the delivery fails after it was taken", receiver(BIS, fails="EBMS:0004"), taken=1),
    Cause("the access point gives up after several tries (phoss-ap)",
          receiver(pending_polls=1, fails="TRANSPORT_ERROR_NO_RETRY"), provider=PHOSS, taken=1),
    Cause("the access point sends an e-mail instead", by_email()),
    Cause("the access point calls an e-mail delivered", by_email(deliveryStatus="delivered")),
    # what comes back
    Cause("the receiver's access point rejects it afterwards (phoss-ap, MLS)",
          receiver(pending_polls=50), provider=PHOSS, later=mls_rejects, taken=1),
    Cause("the buyer rejects it (e-invoice.be, Invoice Response)",
          provider=BE, later=buyer_rejects),
)  # fmt: skip
