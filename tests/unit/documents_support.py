"""Documents for the tests of `sync.documents`: fixtures, damaged ones, large ones, and a PDF."""

from __future__ import annotations

import io
from datetime import date
from decimal import Decimal
from pathlib import Path

import pypdf
from euinvoice import facturx, profiles
from pypdf.generic import DecodedStreamObject, NameObject

from sync.documents import work
from sync.documents.source import SourceDocument
from sync.documents.work import Made, Plan
from sync.model import ParticipantId
from tests.sandbox import cii

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "documents"
XRECHNUNG_CII = "xrechnung-cii.xml"
ALL = tuple(sorted(path.name for path in FIXTURES.glob("*.xml")))

OURS = ParticipantId(scheme="9930", value="DE136695976")
THEIRS = ParticipantId(scheme="0204", value="99661-MUSTER-95")


def load(name: str = XRECHNUNG_CII) -> bytes:
    """A fixture."""
    return (FIXTURES / name).read_bytes()


def changed(old: str, new: str, name: str = XRECHNUNG_CII) -> bytes:
    """A fixture with one text replaced everywhere; fails if it is not there."""
    text = load(name).decode()
    assert old in text
    return text.replace(old, new).encode()


def without(start: str, end: str, name: str = XRECHNUNG_CII) -> bytes:
    """A fixture without everything from `start` to `end`, once."""
    text = load(name).decode()
    head, _, rest = text.partition(start)
    _, found, tail = rest.partition(end)
    assert found
    return (head + tail).encode()


def many_lines(count: int) -> bytes:
    """A valid invoice of `count` lines as sevDesk would write it."""
    seller = cii.Party(
        name="Musterwerk Technik GmbH",
        street="Werkstraße 7",
        postcode="04109",
        city="Leipzig",
        email="rechnung@musterwerk.example",
        contact="Jana Probe",
        phone="+49 341 5550100",
        vat="DE136695976",
        iban="DE89370400440532013000",
        bic="COBADEFFXXX",
    )
    buyer = cii.Party(
        name="Stadtwerke Beispielhausen",
        street="Am Rathaus 1",
        postcode="21073",
        city="Hamburg",
        email="eingang@stadtwerke.example",
    )
    line = cii.Line("Dichtungssatz", Decimal(4), Decimal("12.3456"))
    document = cii.Document(
        number="MW-2026-4000",
        issued=date(2026, 10, 5),
        due=date(2026, 10, 19),
        seller=seller,
        buyer=buyer,
        lines=(line,) * count,
        buyer_reference="99661-MUSTER-95",
    )
    return cii.render(document).encode()


XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<pdfaid:part>3</pdfaid:part><pdfaid:conformance>B</pdfaid:conformance>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def pdf(xml: bytes | None = None, *, password: str = "") -> bytes:
    """A PDF, as ZUGFeRD with `xml` inside if it is given."""
    writer = pypdf.PdfWriter()
    writer.add_blank_page(width=200, height=200)
    metadata = DecodedStreamObject()
    metadata.set_data(XMP)
    metadata.update(
        {NameObject("/Type"): NameObject("/Metadata"), NameObject("/Subtype"): NameObject("/XML")}
    )
    writer.root_object[NameObject("/Metadata")] = writer._add_object(metadata)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    plain = buffer.getvalue()
    if xml is None:
        return plain
    return facturx.embed(plain, xml, profile=profiles.FACTURX_EN16931)


class InPlace:
    """The worker's work without its process."""

    async def read(self, source: bytes) -> SourceDocument:
        """As `DocumentWorker.read`."""
        return work.read(source)

    async def make(self, source: bytes, plan: Plan) -> tuple[Made, bytes]:
        """As `DocumentWorker.make`."""
        return work.make(source, plan)
