"""Calls back from access points: pure functions, and nothing in a call is believed.

A call says that a document changed. Whoever receives it asks the access point for the status of
the document that it names, and believes the answer; so a forged or replayed call costs one
question at most. A signature, where the provider signs, keeps strangers from asking at all.

e-invoice.be signs with HMAC-SHA256 in `X-Signature: sha256=<hex>` (docs.e-invoice.be,
"Webhooks"): over the whole event as JSON with sorted keys and non-ASCII characters escaped, as
Python's `json.dumps(event, sort_keys=True)` writes it. Recommand and phoss-ap do not sign.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any, Final

MAX_CALL_BYTES: Final = 256 * 1024
SIGNATURE_HEADER: Final = "X-Signature"

_ID_FIELDS: Final = ("document_id", "documentId", "sbdhInstanceID", "id")
_OUTER_FIELDS: Final = ("data", "document", "payload")


def signed_by(secret: str, body: bytes, signature: str) -> bool:
    """Whether `signature` is e-invoice.be's over `body`, as received or in its canonical form.

    False for an empty secret or signature, a body that is too long, or one that is not JSON.
    """
    given = signature.strip().removeprefix("sha256=").lower()
    if not secret or len(given) != 64 or not given.isascii() or len(body) > MAX_CALL_BYTES:
        return False
    matches = [hmac.compare_digest(_hmac(secret, form), given) for form in _forms(body)]
    return any(matches)


def documents_in(body: bytes) -> tuple[str, ...]:
    """The ids of documents that a call may be about: to ask for, not to believe.

    Empty for what is not JSON. At most three, at most 200 characters each.
    """
    if len(body) > MAX_CALL_BYTES:
        return ()
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    return tuple(dict.fromkeys(_ids(event, 0)))[:3]


def _hmac(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _forms(body: bytes) -> Iterator[bytes]:
    yield body
    try:
        event = json.loads(body)
        yield json.dumps(event, sort_keys=True).encode()
    except (ValueError, RecursionError):
        return


def _ids(event: Any, depth: int) -> Iterator[str]:
    """Inner ids first: the outermost `id` is often the event's own."""
    if not isinstance(event, dict) or depth > 3:
        return
    for name in _OUTER_FIELDS:
        yield from _ids(event.get(name), depth + 1)
    for name in _ID_FIELDS:
        value = event.get(name)
        if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable():
            yield value
