"""From a rule's id to what a bookkeeper is told: a plain code for each kind of mistake.

Three rule sets say the same thing under different ids (BR-DE-15, DE-R-015, PEPPOL-EN16931-R003:
no buyer reference). A person needs one sentence and the place in sevDesk where it is put right;
the rule's id is shown beside it for support. `docs/findings.md` has the sentences.

Sources of the groups: XRechnung 3.0 schematron 2.6.0, Peppol BIS Billing 3.0.21, CEN 1.3.16.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sync.errors import Finding

# Each code with the rules that mean it; a trailing * stands for any ending. German rules stand
# here under their XRechnung id (BR-DE-15); Peppol's copies (DE-R-015) are folded into them.
_RULES_OF: Final[dict[str, str]] = {
    # who and to whom
    "finding.buyer_reference_missing": "BR-DE-15 PEPPOL-EN16931-R003",
    "finding.seller_contact_missing": "BR-DE-2",
    "finding.seller_contact_name_missing": "BR-DE-5",
    "finding.seller_phone_missing": "BR-DE-6 BR-DE-27",
    "finding.seller_email_missing": "BR-DE-7 BR-DE-28",
    "finding.seller_name_missing": "BR-06",
    "finding.seller_address_missing": "BR-08 BR-09",
    "finding.seller_city_missing": "BR-DE-3",
    "finding.seller_postcode_missing": "BR-DE-4",
    "finding.seller_tax_id_missing": (
        "BR-DE-16 BR-CO-26 BR-S-02 BR-S-03 BR-S-04 BR-Z-02 BR-Z-03 BR-Z-04"
        " BR-E-02 BR-E-03 BR-E-04 BR-G-02 BR-G-03 BR-G-04"
    ),
    "finding.vat_id_form": "BR-CO-09 NO-R-001 SE-R-001 SE-R-002",
    "finding.buyer_name_missing": "BR-07",
    "finding.buyer_address_missing": "BR-10 BR-11",
    "finding.buyer_city_missing": "BR-DE-8",
    "finding.buyer_postcode_missing": "BR-DE-9",
    "finding.buyer_vat_id_missing": ("BR-AE-02 BR-AE-03 BR-AE-04 BR-IC-02 BR-IC-03 BR-IC-04"),
    "finding.delivery_address_incomplete": "BR-DE-10 BR-DE-11 BR-57 BR-IC-12",
    "finding.delivery_date_missing": "BR-IC-11 BR-DE-TMP-32",
    "finding.endpoint_missing": "PEPPOL-EN16931-R010 PEPPOL-EN16931-R020 BR-62 BR-63",
    "finding.endpoint_is_email": "PEPPOL-EN16931-CL008 BR-CL-25",
    "finding.peppol_id_invalid": "PEPPOL-COMMON-R04* PEPPOL-COMMON-R05* SE-R-013",
    # payment
    "finding.payment_missing": "BR-DE-1 BR-49 BR-CL-16",
    "finding.iban_missing": "BR-50 BR-61 BR-DE-23-a BR-DE-23-b BR-CO-27",
    "finding.iban_invalid": "BR-DE-19 BR-DE-20",
    "finding.card_incomplete": "BR-DE-24-a BR-DE-24-b BR-51",
    "finding.direct_debit_incomplete": (
        "BR-DE-25-a BR-DE-25-b BR-DE-30 BR-DE-31 PEPPOL-EN16931-R061"
    ),
    "finding.due_date_missing": "BR-CO-25",
    "finding.cash_discount_form": "BR-DE-18 BR-TMP-2",
    # tax
    "finding.exemption_reason_missing": "BR-E-10 BR-AE-10 BR-IC-10 BR-G-10 BR-O-10",
    "finding.exemption_reason_unexpected": "BR-S-10 BR-Z-10",
    "finding.vat_rate_wrong": (
        "BR-S-05 BR-S-06 BR-S-07 BR-Z-05 BR-Z-06 BR-Z-07 BR-E-05 BR-E-06 BR-E-07"
        " BR-AE-05 BR-AE-06 BR-AE-07 BR-IC-05 BR-IC-06 BR-IC-07 BR-G-05 BR-G-06 BR-G-07"
        " BR-O-05 BR-O-06 BR-O-07 BR-48 BR-DE-14"
    ),
    "finding.vat_amount_wrong": (
        "BR-CO-14 BR-CO-17 BR-S-08 BR-S-09 BR-Z-08 BR-Z-09 BR-E-08 BR-E-09 BR-AE-08 BR-AE-09"
        " BR-IC-08 BR-IC-09 BR-G-08 BR-G-09 BR-O-08 BR-O-09 PEPPOL-EN16931-R055"
    ),
    "finding.vat_breakdown_incomplete": (
        "BR-CO-18 BR-45 BR-46 BR-47 BR-S-01 BR-Z-01 BR-E-01 BR-AE-01 BR-IC-01 BR-G-01 BR-O-01"
        " BR-CO-04 BR-CL-17 BR-CL-18 BR-O-11 BR-O-12 BR-O-13 BR-O-14"
    ),
    # amounts
    "finding.totals_wrong": (
        "BR-CO-10 BR-CO-11 BR-CO-12 BR-CO-13 BR-CO-15 BR-CO-16 BR-12 BR-13 BR-14 BR-15"
    ),
    "finding.decimals": "BR-DEC-*",
    "finding.line_total_wrong": "PEPPOL-EN16931-R120",
    "finding.line_incomplete": "BR-21 BR-22 BR-24 BR-25 BR-26",
    "finding.lines_missing": "BR-16",
    "finding.unit_code": "BR-23 BR-CL-23 PEPPOL-EN16931-R130",
    "finding.price_invalid": "BR-27 BR-28 PEPPOL-EN16931-R046 PEPPOL-EN16931-R121",
    "finding.discount_incomplete": (
        "BR-31 BR-32 BR-33 BR-36 BR-37 BR-38 BR-41 BR-42 BR-43 BR-44 BR-CO-21 BR-CO-22 BR-CO-23"
        " BR-CO-24 PEPPOL-EN16931-R040 PEPPOL-EN16931-R041 PEPPOL-EN16931-R042"
    ),
    # head
    "finding.number_missing": "BR-02",
    "finding.date_missing": "BR-03 BR-TMP-6 PEPPOL-EN16931-F001",
    "finding.period_wrong": (
        "BR-29 BR-30 BR-CO-19 BR-CO-20 PEPPOL-EN16931-R110 PEPPOL-EN16931-R111"
    ),
    "finding.type_code": "BR-04 BR-CL-01 BR-DE-17 PEPPOL-EN16931-P01*",
    "finding.currency": (
        "BR-05 BR-53 BR-CL-03 BR-CL-04 BR-CL-05 PEPPOL-EN16931-R005 PEPPOL-EN16931-R051"
    ),
    "finding.country_code": "BR-CL-14 BR-CL-15",
    "finding.too_many_notes": "PEPPOL-EN16931-R002",
    "finding.preceding_invoice": "BR-55 BR-DE-26",
    # attachments
    "finding.attachment_type": "PEPPOL-EN16931-CL001 BR-CL-24",
    "finding.attachment_name": "BR-DE-22 BR-52",
    # form
    "finding.empty_element": "PEPPOL-EN16931-R008",
    "finding.structure": "XSD UBL-SR-* UBL-DT-* CII-SR-* CII-DT-* SCHEMATRON-RUNTIME",
    "finding.specification": (
        "BR-01 BR-DE-21 PEPPOL-EN16931-R001 PEPPOL-EN16931-R004 PEPPOL-EN16931-R007"
    ),
    "finding.not_judged": "NOT-JUDGED",
    "finding.buyer_reference_supplied": "XTOOL-BT-10",
}

OTHER: Final = "finding.other"
"""A rule of none of the groups: the official text is shown instead of a sentence of ours."""

CODES: Final = (*_RULES_OF, OTHER)
"""Every code, in the order in which they are shown."""


def _exact_and_prefixes() -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    pairs = [(rule, code) for code, rules in _RULES_OF.items() for rule in rules.split()]
    exact = {rule: code for rule, code in pairs if not rule.endswith("*")}
    return exact, tuple((rule[:-1], code) for rule, code in pairs if rule.endswith("*"))


_EXACT, _PREFIXES = _exact_and_prefixes()
_GERMAN: Final = re.compile(r"DE-R-(T?)0*(\d+)(?:-(\d))?")
_LETTERS: Final = {"1": "a", "2": "b"}


def xrechnung_id(rule: str) -> str:
    """Peppol's `DE-R-023-1` is XRechnung's `BR-DE-23-a`; other ids stay as they are."""
    found = _GERMAN.fullmatch(rule)
    if found is None:
        return rule
    temporary, number, part = found.groups()
    if temporary:
        return f"BR-TMP-{number}"
    return f"BR-DE-{number}" + (f"-{_LETTERS.get(part, part)}" if part else "")


def code_for(rule: str) -> str:
    """The plain code of a rule's id, `finding.other` if it is in no group."""
    known = xrechnung_id(rule)
    if known in _EXACT:
        return _EXACT[known]
    return next((code for prefix, code in _PREFIXES if known.startswith(prefix)), OTHER)


def grouped(findings: Iterable[Finding]) -> dict[str, tuple[Finding, ...]]:
    """The findings by code, in the order of `CODES`: one sentence each, however many rules say it.

    `finding.other` holds all that have no sentence.
    """
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(code_for(finding.rule), []).append(finding)
    return {code: tuple(groups[code]) for code in CODES if code in groups}
