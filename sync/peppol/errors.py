"""What can go wrong on the way to the Peppol network, and what follows from each.

    SyncError
    └── PeppolError                       any code of the table below, as an exception
        ├── ParticipantError              text that is not a Peppol id
        └── AccessPointSettingsError      PEPPOL_PROVIDER and its companions are missing or wrong

Most of this package answers with data that carries a `Reason`, not with exceptions. `CODES`
lists every code once, with its kind and the parameters that fill its sentence; `because` is the
only way to make one, so a code that is not listed here cannot reach a person.
"""

from __future__ import annotations

from typing import Final

from sync.errors import ConfigurationError, Finding, Kind, Reason, SyncError

_T, _P, _C, _U = Kind.TRANSIENT, Kind.PERMANENT, Kind.PRECONDITION, Kind.UNKNOWN

CODES: Final[dict[str, tuple[Kind, tuple[str, ...]]]] = {
    # a Peppol id as typed or found in a document
    "peppol.participant.malformed": (_C, ("text",)),
    "peppol.participant.unknown_scheme": (_C, ("participant", "scheme")),
    "peppol.participant.retired_scheme": (_C, ("participant", "scheme", "scheme_name")),
    "peppol.participant.form": (_C, ("participant", "scheme_name", "example")),
    "peppol.participant.check_digit": (_C, ("participant", "scheme_name")),
    # looking a receiver up
    "peppol.lookup.not_registered": (_C, ("participant",)),
    "peppol.lookup.not_confirmed": (_C, ("participant", "provider")),
    "peppol.lookup.down": (_T, ("participant", "detail")),
    # the access point's account and settings: an administrator acts
    "peppol.access_point.unauthorized": (_C, ("provider",)),
    "peppol.access_point.forbidden": (_C, ("provider", "detail")),
    "peppol.access_point.subscription": (_C, ("provider", "detail")),
    "peppol.access_point.company": (_C, ("provider", "detail")),
    "peppol.access_point.disabled": (_C, ("provider",)),
    "peppol.access_point.sender_not_allowed": (_C, ("provider", "sender", "detail")),
    # nothing was taken, it goes on by itself
    "peppol.access_point.unreachable": (_T, ("provider",)),
    "peppol.access_point.busy": (_T, ("provider", "status")),
    # a definite refusal of the document
    "peppol.access_point.invalid_document": (_P, ("provider", "detail")),
    "peppol.access_point.not_delivered": (_P, ("provider", "detail")),
    "peppol.access_point.sent_by_email": (_P, ("provider",)),
    "peppol.access_point.too_large": (_P, ("provider", "bytes", "limit")),
    "peppol.access_point.unsupported_type": (_P, ("provider",)),
    # it may have happened: ask the access point, else a person
    "peppol.access_point.no_answer": (_U, ("provider",)),
    "peppol.access_point.unclear_answer": (_U, ("provider", "status")),
    "peppol.access_point.not_found": (_U, ("provider",)),
    # after the access point took it
    "peppol.delivery.failed": (_P, ("provider", "detail")),
    "peppol.delivery.rejected": (_P, ("provider", "detail")),
}
"""Code -> (kind, parameters). `detail` is the other side's own words, bounded and unescaped."""

DETAIL_CHARS: Final = 300
"""What is kept of a text from outside: enough for a sentence, no more."""


class PeppolError(SyncError):
    """Raised where an answer as data has no place. The reason is one of `CODES`."""

    code = "peppol.lookup.down"

    def __init__(self, reason: Reason) -> None:
        """`reason` comes from `because`."""
        super().__init__(code=reason.code, kind=reason.kind, findings=reason.findings)
        self.params = dict(reason.params)


class ParticipantError(PeppolError, ValueError):
    """A text is not a Peppol id, or the id cannot be right."""


class AccessPointSettingsError(ConfigurationError):
    """A `PEPPOL_…` setting is missing or wrong. Its value is never repeated."""


def because(code: str, *, findings: tuple[Finding, ...] = (), **params: str) -> Reason:
    """Make the reason `code` with exactly the parameters that `CODES` lists.

    Parameters from outside are cut to `DETAIL_CHARS` and freed of control characters. Raises
    `KeyError` or `TypeError` for a code or a parameter that is not listed: a programming error.
    """
    kind, names = CODES[code]
    if set(params) != set(names):
        raise TypeError(f"{code} takes {names}, not {tuple(params)}")
    return Reason(
        code=code,
        kind=kind,
        params={name: bounded(text) for name, text in params.items()},
        findings=findings,
    )


def bounded(text: object) -> str:
    """Text from outside on one line, without control characters, at most `DETAIL_CHARS` long."""
    flat = " ".join(str(text)[: 4 * DETAIL_CHARS].split())
    clean = "".join(c for c in flat if c.isprintable())
    return clean if len(clean) <= DETAIL_CHARS else clean[: DETAIL_CHARS - 1] + "…"
