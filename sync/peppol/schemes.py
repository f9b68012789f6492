"""The participant identifier schemes of the Peppol network, as one table.

Facts (codes, countries, forms, state) from the OpenPeppol eDEC code list "Participant identifier
schemes" v9.7; form checks narrowed by the rules of BIS Billing 3.0.21 (R040 0088, R041 0192,
R043 0208, R049 0007, R054 0106, R055 0190, R056 9944). Check digits are python-stdnum's.
Where the list states no form, `ANY` holds: the repertoire of ISO 6523 identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stdnum import ean, iban, lei
from stdnum.au import abn
from stdnum.be import vat as be_vat
from stdnum.ch import uid as ch_uid
from stdnum.de import leitweg
from stdnum.de import vat as de_vat
from stdnum.dk import cvr
from stdnum.ee import registrikood
from stdnum.eu import vat as eu_vat
from stdnum.fi import ytunnus
from stdnum.fr import siren, siret
from stdnum.gb import vat as gb_vat
from stdnum.hu import anum
from stdnum.is_ import kennitala
from stdnum.it import codicefiscale, iva
from stdnum.no import mva, orgnr
from stdnum.se import orgnr as se_orgnr

Check = Callable[[str], bool]

ANY: Final = r"[0-9A-Z._~-]{1,50}"


@dataclass(frozen=True, slots=True)
class Scheme:
    """One row: `form` is matched against the whole upper-cased value, `check` is asked after it."""

    code: str
    name: str
    country: str  # ISO 3166-1 alpha-2, or empty for an international scheme
    form: re.Pattern[str]
    check: Check | None = None
    example: str = ""
    state: str = "active"  # active, deprecated or removed


def _leitweg(value: str) -> bool:
    return bool(leitweg.is_valid(value))


def _geba(value: str) -> bool:
    return bool(de_vat.is_valid(value[:11]))


def _siren_or_siret(value: str) -> bool:
    return bool(siren.is_valid(value) if len(value) == 9 else siret.is_valid(value))


def _ovt(value: str) -> bool:
    return bool(ytunnus.is_valid(value[4:12]))


def _swiss(value: str) -> bool:
    return bool(ch_uid.is_valid(value[:12]))


_Row = tuple[str, str, str, str, Check | None, str]

# code, name, country, form, check, example
_NATIONAL: Final[tuple[_Row, ...]] = (
    ("0002", "SIREN or SIRET", "FR", r"\d{9}(\d{5})?", _siren_or_siret, "732829320"),
    ("0007", "Organisationsnummer", "SE", r"\d{10}", se_orgnr.is_valid, "2120000787"),
    ("0009", "SIRET", "FR", r"\d{14}", siret.is_valid, "73282932000074"),
    ("0060", "D-U-N-S number", "", r"\d{9}", None, "812810734"),
    ("0088", "GLN", "", r"\d{13}", ean.is_valid, "1548079098355"),
    ("0096", "P-number", "DK", r"\d{10}", None, ""),
    ("0097", "FTI", "IT", r"\d{11,16}", None, ""),
    ("0106", "KVK number", "NL", r"\d{8}(\d{9})?", None, "12345678"),
    ("0130", "European Commission directorates", "", ANY, None, ""),
    ("0135", "SIA object identifier", "IT", ANY, None, ""),
    ("0142", "SECETI object identifier", "IT", ANY, None, ""),
    ("0151", "ABN", "AU", r"\d{11}", abn.is_valid, "51824753556"),
    ("0158", "IČO", "SK", r"\d{8}", None, ""),
    ("0183", "UID", "CH", r"CHE\d{9}", _swiss, "CHE100155212"),
    ("0184", "CVR number", "DK", r"(DK)?[1-9]\d{7}", cvr.is_valid, "13585628"),
    ("0188", "Corporate number", "JP", ANY, None, ""),
    ("0190", "OIN", "NL", r"\d{20}", None, "00000001820029336000"),
    ("0191", "Registrikood", "EE", r"[1789]\d{7}", registrikood.is_valid, "10137025"),
    ("0192", "Organisasjonsnummer", "NO", r"\d{9}", orgnr.is_valid, "988077917"),
    ("0195", "UEN", "SG", r"[A-Z]{5}[0-9A-Z]{9,10}[0-9A-Z]?", None, ""),
    ("0196", "Kennitala", "IS", r"\d{10}", kennitala.is_valid, ""),
    ("0198", "SE number", "DK", r"DK\d{8}", None, "DK13585628"),
    ("0199", "LEI", "", r"[A-Z0-9]{18}\d{2}", lei.is_valid, "213800KUD8LAJWSQ9D15"),
    ("0200", "Legal entity code", "LT", r"\d{9}", None, "111963319"),
    ("0201", "Codice univoco IPA", "IT", r"[0-9A-Z]{6}", None, "UFABCD"),
    ("0204", "Leitweg-ID", "DE", r"\d{2,12}(-[0-9A-Z]{0,30})?-\d{2}", _leitweg, "991-03730-19"),
    ("0205", "CODDEST", "IT", ANY, None, ""),
    ("0208", "Enterprise number", "BE", r"[01]\d{9}", be_vat.is_valid, "0202239951"),
    ("0209", "GS1 key", "", ANY, None, ""),
    ("0210", "Codice fiscale", "IT", r"[0-9A-Z]{11,16}", codicefiscale.is_valid, ""),
    ("0211", "Partita IVA", "IT", r"IT\d{11}", iva.is_valid, "IT00743110157"),
    ("0216", "OVT code", "FI", r"0037\d{8}[0-9A-Z]{0,5}", _ovt, "003720774740"),
    ("0218", "Registration number", "LV", r"\d{9}(\d{2})?", None, ""),
    ("0221", "Qualified invoice issuer", "JP", ANY, None, ""),
    ("0225", "Electronic address", "FR", r"[A-Z0-9_-]{1,130}", None, "732829320"),
    ("0230", "e-Invoicing framework", "MY", ANY, None, ""),
    ("0235", "TIN", "AE", r"1\d{9}", None, ""),
    ("0240", "Matricule", "LU", r"\d{11}", None, ""),
    ("0242", "Peppol service provider", "", r"\d{6}(-[0-9A-Z_]{3,12}(\.[0-9A-Z._~-]{3,24})?)?",
     None, ""),
    ("0244", "TIN", "NG", r"\d{13}", None, ""),
    ("0245", "DIČ", "SK", r"\d{10}", None, ""),
    ("0246", "German Electronic Business Address", "DE",
     r"DE\d{9}(-\d{5})?(\.[0-9A-Z]{1,8})?", _geba, "DE136695976"),
    ("0248", "VATIN", "OM", r"OM\d{10}", None, "OM1100003554"),
    ("9910", "VAT number", "HU", r"HU\d{8}", anum.is_valid, "HU12892312"),
    ("9913", "Business Registers Network", "", ANY, None, ""),
    ("9914", "VAT number", "AT", r"ATU\d{8}", eu_vat.is_valid, "ATU13585627"),
    ("9915", "Verwaltungskennzeichen", "AT", r"[A-Z][A-Z0-9]*", None, "B"),
    ("9918", "IBAN", "", r"[A-Z]{2}\d{2}[A-Z0-9]{8,30}", iban.is_valid, "DE89370400440532013000"),
    ("9919", "Kennziffer des Unternehmensregisters", "AT", ANY, None, ""),
    ("9927", "VAT number", "CH", r"CHE\d{9}(MWST|TVA|IVA)?", _swiss, "CHE107787577"),
    ("9932", "VAT number", "GB", r"(GB|XI)?([0-9A-Z]{5}|\d{9}|\d{12})", gb_vat.is_valid,
     "GB980780684"),
    ("9933", "VAT number", "GR", r"(EL|GR)\d{9}", eu_vat.is_valid, "EL094259216"),
    ("9944", "VAT number", "NL", r"NL\d{9}B\d{2}", eu_vat.is_valid, "NL004495445B01"),
    ("9959", "EIN", "US", r"\d{2}-?\d{7}", None, ""),
)  # fmt: skip

# VAT numbers of the European Union, written with the country in front and checked by
# python-stdnum's table for that country: code, country, what follows the country, an example
_VAT: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("9920", "ES", r"[0-9A-Z]{9}", "ESB58378431"),
    ("9925", "BE", r"[01]\d{9}", "BE0202239951"),
    ("9926", "BG", r"\d{9,10}", ""),
    ("9928", "CY", r"\d{8}[A-Z]", ""),
    ("9929", "CZ", r"\d{8,10}", ""),
    ("9930", "DE", r"\d{9}", "DE136695976"),
    ("9931", "EE", r"\d{9}", ""),
    ("9934", "HR", r"\d{11}", ""),
    ("9935", "IE", r"[0-9A-Z+*]{8,9}", "IE6433435F"),
    ("9937", "LT", r"\d{9}(\d{3})?", ""),
    ("9938", "LU", r"\d{8}", "LU15027442"),
    ("9939", "LV", r"\d{11}", ""),
    ("9943", "MT", r"\d{8}", ""),
    ("9945", "PL", r"\d{10}", "PL8567346215"),
    ("9946", "PT", r"\d{9}", ""),
    ("9947", "RO", r"\d{2,10}", ""),
    ("9949", "SI", r"\d{8}", ""),
    ("9950", "SK", r"\d{10}", ""),
    ("9957", "FR", r"[0-9A-Z]{2}\d{9}", "FR40303265045"),
)

# VAT numbers elsewhere: the list states no form, so none is invented
_OTHER_VAT: Final = {
    "9922": "AD",
    "9923": "AL",
    "9924": "BA",
    "9936": "LI",
    "9940": "MC",
    "9941": "ME",
    "9942": "MK",
    "9948": "RS",
    "9951": "SM",
    "9952": "TR",
    "9953": "VA",
}

# still in use by some, not to be registered any more
_DEPRECATED: Final[tuple[_Row, ...]] = (
    ("0193", "UBL.BE party identifier", "BE", r".{4,50}", None, ""),
    ("9909", "VAT number", "NO", r"NO\d{9}MVA", mva.is_valid, "NO995525828MVA"),
    ("9912", "National ministries of economy", "", r"[A-Z]{2}[A-Z0-9]{0,20}", None, ""),
    ("9916", "Firmenidentifikationsnummer", "AT", ANY, None, ""),
    ("9917", "Kennitala", "IS", r"\d{10}", kennitala.is_valid, ""),
)

_REMOVED: Final[dict[str, tuple[str, str]]] = {
    "0037": ("OVT code", "FI"),
    "0212": ("Organisation identifier", "FI"),
    "0213": ("VAT number", "FI"),
    "0215": ("Net service ID", "FI"),
    "9901": ("CPR number", "DK"),
    "9902": ("CVR number", "DK"),
    "9904": ("SE number", "DK"),
    "9905": ("VANS", "DK"),
    "9906": ("Partita IVA", "IT"),
    "9907": ("Codice fiscale", "IT"),
    "9908": ("Organisasjonsnummer", "NO"),
    "9921": ("Codice IPA", "IT"),
    "9954": ("OIN", "NL"),
    "9955": ("VAT number", "SE"),
    "9956": ("Enterprise number", "BE"),
    "9958": ("Leitweg-ID", "DE"),
}


def _row(row: _Row, state: str = "active") -> Scheme:
    code, name, country, form, check, example = row
    pattern = re.compile(form, re.ASCII)
    return Scheme(code, name, country, pattern, check, example, state)


def _table() -> Mapping[str, Scheme]:
    rows = [_row(row) for row in _NATIONAL]
    rows += [
        _row((code, "VAT number", country, f"{country}{rest}", eu_vat.is_valid, example))
        for code, country, rest, example in _VAT
    ]
    rows += [
        _row((code, "VAT number", country, ANY, None, "")) for code, country in _OTHER_VAT.items()
    ]
    rows += [_row(row, "deprecated") for row in _DEPRECATED]
    rows += [
        _row((code, name, country, ANY, None, ""), "removed")
        for code, (name, country) in _REMOVED.items()
    ]
    return {row.code: row for row in rows}


SCHEMES: Final[Mapping[str, Scheme]] = _table()
"""Every scheme of the list by its ISO 6523 code, removed ones included."""
