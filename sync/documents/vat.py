"""Peppol ids that follow from a VAT number, by country.

Source: eDEC code lists v9.7 and the schemes' own descriptions there. Where a country has a
scheme for the organisation and one for its VAT number, both name the same legal entity; the one
that is meant for addressing stands first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from sync.model import ParticipantId

_NOISE: Final = re.compile(r"[\s./-]+")

Derive = Callable[[str], str]
"""The compact VAT number, country included, to the value in a scheme; empty: does not follow."""


def compact(text: str) -> str:
    """A VAT number without blanks and punctuation, in capitals: `DE 136.695.976` and alike."""
    return _NOISE.sub("", text).upper()[:30]


def _whole(vat: str) -> str:
    return vat


def _digits(length: int) -> Derive:
    """The part after the country, if it is that many digits."""

    def derive(vat: str) -> str:
        rest = vat[2:]
        return rest if len(rest) == length and rest.isdigit() else ""

    return derive


def _swedish(vat: str) -> str:
    """`SE` + organisation number + `01`."""
    return vat[2:12] if re.fullmatch(r"SE\d{12}", vat) else ""


def _norwegian(vat: str) -> str:
    found = re.fullmatch(r"(?:NO)?(\d{9})(?:MVA)?", vat)
    return found[1] if found else ""


def _finnish(vat: str) -> str:
    """The OVT code is 0037 and the business id, which is the VAT number without its country."""
    return f"0037{vat[2:]}" if re.fullmatch(r"FI\d{8}", vat) else ""


def _siren(vat: str) -> str:
    return vat[4:] if re.fullmatch(r"FR[0-9A-Z]{2}\d{9}", vat) else ""


def _swiss(vat: str) -> str:
    found = re.fullmatch(r"(CHE\d{9})(?:MWST|TVA|IVA)?", vat)
    return found[1] if found else ""


_SCHEMES: Final[dict[str, tuple[tuple[str, Derive], ...]]] = {
    # The W-IdNr of a GEBA is the VAT number where there is one; it is the newer address.
    "DE": (("0246", _whole), ("9930", _whole)),
    "BE": (("0208", _digits(10)), ("9925", _whole)),
    "FR": (("0225", _siren), ("9957", _whole)),
    "SK": (("0245", _digits(10)), ("9950", _whole)),
    "CH": (("0183", _swiss), ("9927", _swiss)),
    "SE": (("0007", _swedish),),
    "NO": (("0192", _norwegian),),
    "DK": (("0184", _digits(8)),),
    "FI": (("0216", _finnish),),
    "IT": (("0211", _whole),),
    "EL": (("9933", _whole),),
    "XI": (("9932", _whole),),
} | {
    country: ((scheme, _whole),)
    for country, scheme in {
        "AD": "9922", "AL": "9923", "AT": "9914", "BA": "9924", "BG": "9926", "CY": "9928",
        "CZ": "9929", "EE": "9931", "ES": "9920", "GB": "9932", "GR": "9933", "HR": "9934",
        "HU": "9910", "IE": "9935", "LI": "9936", "LT": "9937", "LU": "9938", "LV": "9939",
        "MC": "9940", "ME": "9941", "MK": "9942", "MT": "9943", "NL": "9944", "PL": "9945",
        "PT": "9946", "RO": "9947", "RS": "9948", "SI": "9949", "SM": "9951", "TR": "9952",
        "VA": "9953",
    }.items()
}  # fmt: skip


def participants(text: str) -> tuple[ParticipantId, ...]:
    """The ids that follow from a VAT number, the one for addressing first. Unchecked."""
    vat = compact(text)
    found = ((scheme, derive(vat)) for scheme, derive in _SCHEMES.get(vat[:2], ()))
    return tuple(ParticipantId(scheme=scheme, value=value) for scheme, value in found if value)


def sender_participant(text: str) -> ParticipantId | None:
    """Our own id from our VAT number.

    In Germany 9930: every VAT number can be registered there, a GEBA (0246) is applied for.
    """
    found = participants(text)
    return next((p for p in found if p.scheme == "9930"), found[0] if found else None)
