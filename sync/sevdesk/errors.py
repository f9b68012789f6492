"""What can go wrong between xTool and sevDesk. Classed once, in `wire` and `client`.

    SevdeskError                    code                          kind          params
    ├── TokenMalformedError         sevdesk.token_malformed       precondition
    ├── UnauthorizedError           sevdesk.unauthorized          precondition
    ├── ForbiddenError              sevdesk.forbidden             precondition  message, reference
    ├── WrongAddressError           sevdesk.wrong_address         precondition  host, status
    ├── AccountUnknownError         sevdesk.account_unknown       permanent
    ├── NotFoundError               sevdesk.not_found             permanent     resource, message
    ├── RefusedError                sevdesk.refused               permanent     status, message,
    │   │                                                                       reference
    │   └── RemovalRefusedError     sevdesk.removal_refused       permanent     status, message
    ├── RateLimitedError            sevdesk.rate_limited          transient     (retry_after)
    ├── UnavailableError            sevdesk.unavailable           transient     status, message
    │   └── ListChangedError        sevdesk.list_changed          transient     resource
    ├── BadAnswerError              sevdesk.bad_answer            transient     problem
    │   └── AnswerTooLargeError     sevdesk.answer_too_large      permanent     megabytes
    ├── InvoiceXmlError             about one invoice, never about the account
    │   ├── NotAnEInvoiceError      sevdesk.not_an_einvoice       permanent
    │   ├── IncompleteEInvoiceError sevdesk.einvoice_incomplete   precondition  message, missing
    │   └── XmlRefusedError         sevdesk.xml_refused           transient or  status, message
    │                                                             permanent
    └── WriteUnconfirmedError       sevdesk.write_unconfirmed     unknown       status, message

`message` is sevDesk's own text (bounded, control characters removed, the token blanked out),
`reference` the `exceptionUUID` that sevDesk's support asks for, `status` the HTTP status or
empty, `missing` the fields that sevDesk names, joined by a comma.
"""

from __future__ import annotations

from sync.errors import Kind, SyncError


class SevdeskError(SyncError):
    """Base of all errors of this package."""

    code = "sevdesk.error"


class TokenMalformedError(SevdeskError):
    """The text can not be a token: empty, too long, or not printable ASCII."""

    code = "sevdesk.token_malformed"
    kind = Kind.PRECONDITION


class UnauthorizedError(SevdeskError):
    """401: the token is wrong or renewed, its user was deleted, or the subscription ended."""

    code = "sevdesk.unauthorized"
    kind = Kind.PRECONDITION


class ForbiddenError(SevdeskError):
    """403: the token's user may not do this, or the tariff has no API."""

    code = "sevdesk.forbidden"
    kind = Kind.PRECONDITION


class WrongAddressError(SevdeskError):
    """A redirect or an HTML 404: `SEVDESK_API_URL` does not lead to the API."""

    code = "sevdesk.wrong_address"
    kind = Kind.PRECONDITION


class AccountUnknownError(SevdeskError):
    """The token works, but nothing tells which account it belongs to."""

    code = "sevdesk.account_unknown"


class NotFoundError(SevdeskError):
    """404: the object does not exist (any more)."""

    code = "sevdesk.not_found"


class RefusedError(SevdeskError):
    """sevDesk understood and said no."""

    code = "sevdesk.refused"


class RemovalRefusedError(RefusedError):
    """The undocumented removal of a tag relation is not possible; the tag stays."""

    code = "sevdesk.removal_refused"


class RateLimitedError(SevdeskError):
    """429; nothing was done. `retry_after` in seconds where sevDesk said it."""

    code = "sevdesk.rate_limited"
    kind = Kind.TRANSIENT


class UnavailableError(SevdeskError):
    """sevDesk cannot be reached, or answers with a server error or a maintenance page."""

    code = "sevdesk.unavailable"
    kind = Kind.TRANSIENT


class ListChangedError(UnavailableError):
    """A list of several pages changed so fast that rows may have been missed."""

    code = "sevdesk.list_changed"


class BadAnswerError(SevdeskError):
    """The answer is cut off, not JSON, or not of the shape that was asked for."""

    code = "sevdesk.bad_answer"
    kind = Kind.TRANSIENT


class AnswerTooLargeError(BadAnswerError):
    """The answer is larger than it may be; reading stopped there."""

    code = "sevdesk.answer_too_large"
    kind = Kind.PERMANENT


class InvoiceXmlError(SevdeskError):
    """Base of what is wrong with one invoice's XML; the account itself is fine."""

    code = "sevdesk.xml_refused"


class NotAnEInvoiceError(InvoiceXmlError):
    """The invoice was not written as an e-invoice."""

    code = "sevdesk.not_an_einvoice"


class IncompleteEInvoiceError(InvoiceXmlError):
    """Data is missing in the account, the contact or the invoice, for example the IBAN."""

    code = "sevdesk.einvoice_incomplete"
    kind = Kind.PRECONDITION


class XmlRefusedError(InvoiceXmlError):
    """sevDesk gives no XML. Transient after a 5xx, but may last: give up after a few tries."""

    kind = Kind.TRANSIENT


class WriteUnconfirmedError(SevdeskError):
    """The write may or may not have happened: read back, never repeat blindly."""

    code = "sevdesk.write_unconfirmed"
    kind = Kind.UNKNOWN
