"""What can be wrong with a document.

    DocumentError                       sync.errors.SyncError
    ├── UnreadableDocumentError         the bytes are not an e-invoice that may be read
    │     document.empty
    │     document.too_large            limit (bytes)
    │     document.not_xml              why
    │     document.encoding             encoding
    │     document.doctype
    │     document.too_complex          limit, what (elements, levels, attributes)
    │     document.root                 root
    │     document.pdf                  why: a PDF without a readable e-invoice in it
    │     document.pdf_encrypted
    │     document.signed               a CAdES envelope instead of XML
    │     document.value                term (BT-…), value: a date or an amount that is none
    ├── UnsendableDocumentError         an e-invoice, but not one that Peppol carries
    │     document.no_lines             profile (BT-24): ZUGFeRD MINIMUM and BASIC WL
    │     document.attachment_type      mime, filename
    │     document.unmapped             elements, count: what the conversion would lose
    ├── InvalidDocumentError            document.invalid; rules, count: the findings say what
    ├── ChangedDocumentError            document.changed; term, before, after: our fault
    ├── WorkerError                     the process that reads documents
    │     document.timeout              PERMANENT; seconds of processor time
    │     document.memory               PERMANENT; megabytes
    │     document.crashed              PERMANENT: it died of the document, twice
    │     document.unexpected           PERMANENT; error: a library failed on the document
    │     document.worker               TRANSIENT: it cannot be started, or is closing
    └── RulesError                      the official rules
          rules.unavailable             TRANSIENT; source: it could not be downloaded
          rules.integrity               source: not what was pinned (PERMANENT), or damaged
                                        since (TRANSIENT: goes on when it was put right)

Blocked before any document is made (reason codes of `address.py` and `pipeline.py`; each has
the params candidates and refused, both lists for people):

    receiver.no_candidate        nothing in invoice or contact gives a Peppol id
    receiver.unknown             no candidate is registered on Peppol
    receiver.not_confirmed       not found, by a look-up that cannot tell "no" from "down"
    receiver.ambiguous           several organisations can be reached
    receiver.no_document_type    registered, but takes none that we can make and carry
    receiver.lookup_down         TRANSIENT; also why
    sender.missing               no own Peppol id; params vat_id

Findings: a rule that failed is no exception by itself, it is a `sync.errors.Finding`;
`InvalidDocumentError` carries them all. `findings.py` gives each a plain code.
"""

from __future__ import annotations

from sync.errors import Kind, SyncError


class DocumentError(SyncError):
    """Base of everything that is wrong with a document."""

    code = "document.invalid"
    kind = Kind.PRECONDITION


class UnreadableDocumentError(DocumentError):
    """The bytes are not an e-invoice that may be read."""

    code = "document.not_xml"
    kind = Kind.PERMANENT


class UnsendableDocumentError(DocumentError):
    """An e-invoice, but not one that Peppol carries."""

    code = "document.unmapped"


class InvalidDocumentError(DocumentError):
    """The rules found something fatal; `findings` says what, `rules` which release judged."""

    code = "document.invalid"


class ChangedDocumentError(DocumentError):
    """The converted document does not say what the source said. Nothing may be sent."""

    code = "document.changed"
    kind = Kind.PERMANENT


class WorkerError(DocumentError):
    """The process that reads documents was stopped or died."""

    code = "document.worker"
    kind = Kind.TRANSIENT


class RulesError(DocumentError):
    """The official rules cannot be had or cannot be trusted."""

    code = "rules.unavailable"
    kind = Kind.TRANSIENT
