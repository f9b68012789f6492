"""Calls back: signatures, and what they may name."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.peppol.webhooks import documents_in, signed_by

# The example of e-invoice.be's documentation of webhooks, with its secret and signature.
DOCUMENTED = {
    "document": {
        "id": "doc-1",
        "name": "test.xml",
        "type": "application/xml",
        "size": 100,
        "url": "https://example.com/test.xml",
    }
}
DOCUMENTED_SIGNATURE = "sha256=6722b498bf28ce7ca5a6f21c0fca9166e24dea480978b276725ff46e503dd70f"


def test_the_documented_example_is_right() -> None:
    assert signed_by("secret", json.dumps(DOCUMENTED).encode(), DOCUMENTED_SIGNATURE)


def test_white_space_and_order_make_no_difference() -> None:
    body = json.dumps(DOCUMENTED, indent=2, sort_keys=False).encode()
    assert signed_by("secret", body, DOCUMENTED_SIGNATURE)


def test_a_signature_over_the_body_as_received_is_right() -> None:
    body = '{"id":"é"}'.encode()
    signature = hmac.new(b"secret", body, hashlib.sha256).hexdigest()
    assert signed_by("secret", body, signature)


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=" + "0" * 64, "ü" * 64, "x" * 64])
def test_a_wrong_signature_is_refused(signature: str) -> None:
    assert not signed_by("secret", json.dumps(DOCUMENTED).encode(), signature)


def test_a_changed_body_is_refused() -> None:
    body = json.dumps(DOCUMENTED).replace("doc-1", "doc-2").encode()
    assert not signed_by("secret", body, DOCUMENTED_SIGNATURE)


def test_an_empty_secret_verifies_nothing() -> None:
    body = b"{}"
    assert not signed_by("", body, hmac.new(b"", body, hashlib.sha256).hexdigest())


def test_the_inner_document_is_named_before_the_event() -> None:
    event = {"id": "evt_1", "data": {"document_id": "doc_1"}}
    assert documents_in(json.dumps(event).encode()) == ("doc_1", "evt_1")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"no json", b'{"id": 5}', b"[" * 5000, b"x" * 300_000]
)
def test_a_call_that_names_nothing_is_empty(body: bytes) -> None:
    assert documents_in(body) == ()


@given(st.binary(max_size=500), st.text(max_size=80))
def test_no_bytes_break_it(body: bytes, signature: str) -> None:
    assert not signed_by("secret", body, signature)
    assert len(documents_in(body)) <= 3
