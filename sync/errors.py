"""Every error that `sync` raises on purpose, and the reason that is kept of it.

    SyncError                  code, kind, params: what a person is told, in any language
    ├── SevdeskError           sync.sevdesk.errors
    ├── DocumentError          sync.documents.errors
    ├── PeppolError            sync.peppol.errors
    ├── StoreError             the store cannot be reached or refused a write
    │   └── StaleRecordError        the record changed since it was read; read it again
    └── ConfigurationError     the operator must change a setting

An error is classed once, where it enters: its `kind` decides whether work is repeated, given
up, handed to a person or reconciled. Nothing further up looks at a status code again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Kind(StrEnum):
    """What follows from an error."""

    TRANSIENT = "transient"  # repeat by itself, with backoff; Retry-After is honoured
    PERMANENT = "permanent"  # repeating the same changes nothing: tell
    PRECONDITION = "precondition"  # a person must put something right, then it goes on
    UNKNOWN = "unknown"  # it may have happened: ask the other side, never repeat blindly


class Finding(BaseModel):
    """One thing that is wrong with a document.

    `rule` is the official rule's id (`BR-DE-15`, `PEPPOL-EN16931-R003`), `message` the rule's
    own text, `location` the XPath or business term, all three as the validator gave them.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    rule: str
    message: str = ""
    location: str = ""


class Reason(BaseModel):
    """Why an invoice or a connection is in the state it is in, free of any language.

    `code` names a sentence in the catalogues of `bot`; `params` fill it. They come from
    outside, so whoever shows them escapes them. They never hold a secret.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: str
    kind: Kind = Kind.PERMANENT
    params: dict[str, str] = {}
    findings: tuple[Finding, ...] = ()


class SyncError(Exception):
    """Base of all. `code` is the class's own or, where one class has several, the instance's."""

    code: ClassVar[str] = "internal"
    kind: Kind = Kind.PERMANENT

    def __init__(
        self,
        detail: str = "",
        *,
        code: str | None = None,
        kind: Kind | None = None,
        retry_after: float | None = None,
        findings: tuple[Finding, ...] = (),
        **params: str,
    ) -> None:
        """`detail` is for the log and holds no secret; `retry_after` is in seconds."""
        super().__init__(detail or code or self.code)
        self.reason_code = code or self.code
        self.kind = kind or self.kind
        self.retry_after = retry_after
        self.findings = findings
        self.params = params

    @property
    def reason(self) -> Reason:
        """What is kept in a record and shown to a person."""
        return Reason(
            code=self.reason_code, kind=self.kind, params=self.params, findings=self.findings
        )


class ConfigurationError(SyncError):
    """A setting is missing or wrong; the sentence names it."""

    code = "configuration"
    kind = Kind.PRECONDITION


class StoreError(SyncError):
    """The store cannot be reached or refused a write."""

    code = "store.unavailable"
    kind = Kind.TRANSIENT


class StaleRecordError(StoreError):
    """Another worker changed the record first; nothing was written."""

    code = "store.stale"
