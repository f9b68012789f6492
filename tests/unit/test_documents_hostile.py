"""Everything from outside is hostile: bounded, refused by name, and never followed anywhere."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from sync.documents import guard
from sync.documents.errors import UnreadableDocumentError
from sync.documents.read import read
from tests.unit.documents_support import changed, load


def refusal(data: bytes) -> str:
    """The code with which `data` is refused."""
    with pytest.raises(UnreadableDocumentError) as caught:
        read(data)
    return caught.value.reason_code


def with_prolog(prolog: str) -> bytes:
    """The fixture with something between its declaration and its root."""
    return changed("?>\n<rsm:", f"?>\n{prolog}\n<rsm:")


XXE = '<!DOCTYPE x [<!ENTITY leak SYSTEM "file:///{path}">]>'
REMOTE = '<!DOCTYPE x [<!ENTITY % far SYSTEM "http://127.0.0.1:9/e.dtd"> %far;]>'
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{more}]>'
BOMB_LINES = "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(12))


def test_an_external_entity_is_refused_and_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("LEAKED")
    document = with_prolog(XXE.format(path=secret)).replace(
        b"<ram:Content>", b"<ram:Content>&leak;"
    )
    with pytest.raises(UnreadableDocumentError) as caught:
        read(document)
    assert caught.value.reason_code == "document.doctype"
    assert "LEAKED" not in repr(caught.value) + str(caught.value.params)


def test_an_external_dtd_is_refused_without_asking_for_it() -> None:
    assert refusal(with_prolog('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">')) == (
        "document.doctype"
    )


def test_a_parameter_entity_is_refused() -> None:
    assert refusal(with_prolog(REMOTE)) == "document.doctype"


def test_an_entity_bomb_is_refused_before_it_grows() -> None:
    bomb = with_prolog(BOMB.format(more=BOMB_LINES)).replace(b"<ram:Content>", b"<ram:Content>&m;")
    tracemalloc.start()
    started = time.process_time()
    assert refusal(bomb) == "document.doctype"
    assert time.process_time() - started < 1
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_a_doctype_in_utf_16_is_refused_too() -> None:
    text = with_prolog(BOMB.format(more="")).decode().replace("UTF-8", "UTF-16")
    assert refusal(text.encode("utf-16")) == "document.doctype"


def test_an_undeclared_entity_is_not_well_formed() -> None:
    assert refusal(changed("<ram:Content>", "<ram:Content>&nbsp;")) == "document.not_xml"


def test_a_doctype_that_is_only_text_is_no_doctype() -> None:
    document = changed("Vielen Dank", "<![CDATA[<!DOCTYPE x>]]> Vielen Dank")
    assert read(document).number == "MW-2026-0042"


def test_fifty_megabytes_are_refused_at_once() -> None:
    large = load() + b" " * 50_000_000
    started = time.process_time()
    assert refusal(large) == "document.too_large"
    assert time.process_time() - started < 1


def test_exactly_the_limit_is_still_read() -> None:
    document = load()
    comment = b"<!--" + b" " * 1_000_000 + b"-->"
    document += comment * 10
    document += b"\n" * (guard.MAX_BYTES - len(document))
    assert read(document).number == "MW-2026-0042"
    assert refusal(document + b"\n") == "document.too_large"


@pytest.mark.parametrize("data", [b"", b"  \n ", b"\xef\xbb\xbf"])
def test_nothing_is_not_a_document(data: bytes) -> None:
    assert refusal(data) in {"document.empty", "document.not_xml"}


@pytest.mark.parametrize(
    "data", [b"{}", b"<html>", b"RE-1001;100,00", b"<a></b>", b"\x00\x01\x02\x03" * 9]
)
def test_what_is_not_xml_is_refused_by_name(data: bytes) -> None:
    assert refusal(data) in {"document.not_xml", "document.root"}


def test_another_root_is_refused_with_its_name() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(b'<Order xmlns="urn:oasis:names:specification:ubl:schema:xsd:Order-2"/>')
    assert caught.value.reason_code == "document.root"
    assert caught.value.params == {"root": "Order"}


def test_the_right_name_in_another_namespace_is_another_root() -> None:
    assert refusal(b'<Invoice xmlns="urn:example"/>') == "document.root"


def test_deep_nesting_is_refused() -> None:
    assert refusal(b"<a>" * 5_000 + b"</a>" * 5_000) == "document.too_complex"


def test_more_elements_than_ten_thousand_lines_need_are_refused() -> None:
    started = time.process_time()
    assert refusal(b"<a>" + b"<b/>" * (guard.MAX_ELEMENTS + 1) + b"</a>") == "document.too_complex"
    assert time.process_time() - started < 5


def test_an_element_with_many_attributes_is_refused() -> None:
    attributes = " ".join(f'a{n}="{n}"' for n in range(guard.MAX_ATTRIBUTES + 1))
    assert refusal(f"<a {attributes}/>".encode()) == "document.too_complex"


def test_more_text_than_a_parser_takes_is_refused_as_too_much() -> None:
    text = "A" * (guard.MAX_TEXT_NODE + 100)
    document = changed("Vielen Dank für Ihren Auftrag.", text)
    assert refusal(document) == "document.too_complex"


@pytest.mark.parametrize("name", ["UTF-7", "UTF-32", "EBCDIC-CP-DE", "windows-1252", "x-mac"])
def test_an_encoding_that_parsers_read_differently_is_refused(name: str) -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(changed('encoding="UTF-8"', f'encoding="{name}"'))
    assert caught.value.reason_code == "document.encoding"
    assert caught.value.params == {"encoding": name.upper()}


def test_bytes_that_are_not_what_the_declaration_says_are_refused() -> None:
    assert refusal(load().decode().encode("latin-1")) == "document.not_xml"


@pytest.mark.parametrize(("name", "codec"), [("UTF-16", "utf-16"), ("ISO-8859-1", "latin-1")])
def test_other_known_encodings_are_read(name: str, codec: str) -> None:
    document = load().decode().replace('encoding="UTF-8"', f'encoding="{name}"')
    assert read(document.encode(codec)).buyer.name == "Stadtwerke Beispielhausen"


def test_a_byte_order_mark_is_no_hindrance() -> None:
    assert read(b"\xef\xbb\xbf" + load()).number == "MW-2026-0042"


def test_an_error_never_repeats_the_document() -> None:
    with pytest.raises(UnreadableDocumentError) as caught:
        read(changed("<ram:Content>Vielen", "<ram:Kontonummer>Vielen"))
    assert "Vielen" not in f"{caught.value!r} {caught.value.params}"
    assert "Kontonummer" not in f"{caught.value!r} {caught.value.params}"
