"""Catalogues are complete in both languages, and nothing from outside acts as markup."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import string
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages import pofile
from babel.messages.catalog import Catalog
from hypothesis import given

import bot
import sync
from bot.authz import Verdict
from bot.blocks.digest import COUNTED
from bot.blocks.status import COMMANDS
from bot.export import COLUMNS
from bot.flows import FILTERS
from bot.listeners.actions import DECISIONS
from bot.pages import FAILURES
from bot.prefs import Details, Notify
from bot.texts import (
    LANGUAGES,
    LOCALES,
    Mrkdwn,
    Texts,
    clean,
    escape,
    language_of,
    link,
    mention,
    texts,
)
from sync.documents.findings import CODES as FINDING_CODES
from sync.documents.findings import OTHER
from sync.errors import Kind, SyncError
from sync.model import ConnectionState, InvoiceState
from sync.peppol.errors import CODES as PEPPOL_CODES
from tests.unit.bot_support import NAMES

FAMILIES = {
    "state.": [s.value for s in InvoiceState],
    "headline.": [*(s.value for s in InvoiceState), "overdue", "objection", "tag"],
    "answer.code.": ["AB", "AP", "RE", "IP", "UQ", "CA", "PD"],
    "answer.": ["buyer", "access_point", "buyer_text", "access_point_text"],
    "connection.": [s.value for s in ConnectionState],
    "filter.": list(FILTERS),
    "help.": list(COMMANDS),
    "denied.": [v.value for v in Verdict if v is not Verdict.YES],
    "decision.": [*(wish for wish, _ in DECISIONS.values()), "receiver"],
    "audit.": list(COLUMNS),
    "page.failed.": list(set(FAILURES.values())),
    "page.next.": list(set(FAILURES.values())),
    "page.installed.": ["direct", "token", "tag"],
    "lookup.": ["registered", "not_registered", "not_confirmed", "no_document_type", "down"],
    "peppol.": ["not_registered", "no_document_type"],
    "reason.kind.": [k.value for k in Kind],
    "next.kind.": [k.value for k in Kind],
    "channel.": ["archived", "not_in", "not_found", "closed"],
    "status.mode.": ["ask", "automatic"],
    "settings.notify.": [n.value for n in Notify],
    "settings.details.": [d.value for d in Details],
    "settings.language.": list(LANGUAGES),
    "settings.mode.": ["automatic", "ask"],
    "settings.amounts.": ["show", "hide"],
    "settings.": [
        f"{name}{end}"
        for name in (
            *("channel", "failures_channel", "mode", "notify", "daily_at", "details"),
            *("language", "may_retry", "sender", "company", "amounts", "mention"),
        )
        for end in ("", ".hint")
    ],
}
PLURAL_FAMILIES = {"count.": [name for name, _ in COUNTED]}


def read(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES" / "bot.po").open("rb") as source:
        return pofile.read_po(source, locale=language)


CATALOGUES = {language: read(language) for language in LANGUAGES}


def entries(language: str) -> dict[str, tuple[str, ...]]:
    """Key to its forms."""
    found = {}
    for message in CATALOGUES[language]:
        if not message.id:
            continue
        key = message.id if isinstance(message.id, str) else message.id[0]
        forms = message.string if isinstance(message.string, list | tuple) else (message.string,)
        found[key] = tuple(form or "" for form in forms)
    return found


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(Path(bot.__file__).parent.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def used_keys() -> set[str]:
    """Every literal that is a catalogue key by its form, wherever it stands in the code."""
    known = set(entries("en"))
    literals = {
        node.value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return literals & known


def literal_keys() -> set[str]:
    """The keys that are given to `plain`, `md`, `plain_n` and `md_n` as literals."""
    return {
        node.args[0].value
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"plain", "md", "plain_n", "md_n"}
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "kit")
    }


def family_keys() -> set[str]:
    families = {**FAMILIES, **PLURAL_FAMILIES}
    return {prefix + name for prefix, names in families.items() for name in names}


def reason_codes() -> set[str]:
    """Every code that `sync` can raise or keep: of its classes, its tables and its literals."""
    codes = set(PEPPOL_CODES)
    for module in pkgutil.walk_packages(sync.__path__, "sync."):
        importlib.import_module(module.name)
    todo: list[type[SyncError]] = [SyncError]
    while todo:
        kind = todo.pop()
        codes.add(kind.code)
        todo += kind.__subclasses__()
    for path in Path(sync.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                codes |= {node.value} & set(CODE.findall(node.value))
    return {code for code in codes if not is_module(code)}


CODE = re.compile(
    r"^(?:attempt|connection|document|peppol|receiver|rules|sender|sevdesk|store|sync|upstream"
    r"|vault|withdrawn)(?:\.[a-z_]+)+$"
)


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_both_catalogues_hold_the_same_keys() -> None:
    assert set(entries("en")) == set(entries("de"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_entry_is_empty(language: str) -> None:
    assert [key for key, forms in entries(language).items() if not all(forms)] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_entries_have_two_forms(language: str) -> None:
    plural = {m.id[0]: m.string or () for m in CATALOGUES[language] if not isinstance(m.id, str)}
    assert {key: len(forms) for key, forms in plural.items()} == dict.fromkeys(plural, 2)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_same_places_are_filled_in_both_languages() -> None:
    english, german = entries("en"), entries("de")
    different = [
        key
        for key in english
        if {p for f in english[key] for p in places(f)}
        != {p for f in german[key] for p in places(f)}
    ]
    assert different == []


def test_every_key_in_the_code_is_in_the_catalogue() -> None:
    assert (literal_keys() | family_keys()) - set(entries("en")) == set()


def test_every_entry_is_used() -> None:
    of_reasons = {key for key in entries("en") if key.startswith(("reason.", "next."))}
    of_findings = {f"{code}{end}" for code in FINDING_CODES for end in ("", ".where")}
    used = used_keys() | family_keys() | of_reasons | of_findings
    assert set(entries("en")) - used == set()


def test_every_reason_of_sync_has_a_sentence_and_a_next_step() -> None:
    keys = set(entries("en"))
    missing = {c for c in reason_codes() if {f"reason.{c}", f"next.{c}"} - keys}
    assert missing == set()


def test_every_kind_of_finding_has_a_sentence_and_a_place() -> None:
    keys = set(entries("en"))
    wanted = {f"{code}{end}" for code in FINDING_CODES if code != OTHER for end in ("", ".where")}
    assert wanted - keys == set()


def test_no_sentence_stands_in_the_code_of_the_cards() -> None:
    words = re.compile(r"[A-Za-zäöüß]{2,} [A-Za-zäöüß]{2,}")
    found = []
    for path, tree in sources():
        if "blocks" not in path.parts:
            continue
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            (path.name, node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docs
            and words.search(node.value)
        ]
    assert found == []


@given(NAMES)
def test_what_is_escaped_holds_no_markup(name: str) -> None:
    safe = escape(name)
    assert not re.search(r"[<>*~`]", safe)
    assert not re.search(r"&(?!amp;|lt;|gt;)", safe)


def test_underscores_within_a_number_stay() -> None:
    assert escape("RE_1001") == "RE_1001"


def test_italics_do_not_survive() -> None:
    assert "_" not in escape("_x_")


def test_text_direction_overrides_are_dropped() -> None:
    assert clean("\u202egnp.exe") == "gnp.exe"


def test_a_link_with_a_hostile_address_is_only_its_label() -> None:
    assert link("javascript:alert(1)", "RE-1") == "RE-1"


def test_a_label_cannot_end_its_link() -> None:
    assert link("https://x.example/1", "a|b>c").count(">") == 1


def test_a_mention_of_something_else_is_text() -> None:
    assert mention("!channel> ") == "!channel&gt;"


def test_mrkdwn_is_not_escaped_twice() -> None:
    assert escape(Mrkdwn("<@U1>")) == "<@U1>"


def test_values_cannot_fill_other_places() -> None:
    t = texts("en")
    assert "{account}" in t.md("connect.done", account="{account}")


@pytest.mark.parametrize(
    ("locale", "language"),
    [("de-DE", "de"), ("de_AT", "de"), ("en-US", "en"), ("fr-FR", "en"), ("", "en")],
)
def test_language_of_a_locale(locale: str, language: str) -> None:
    assert language_of(locale) == language


def test_amounts_are_written_as_people_do() -> None:
    assert texts("de").amount(Decimal(1190), "EUR") == "1.190,00\u00a0€"
    assert texts("en").amount(Decimal(1190), "EUR") == "€1,190.00"


def test_dates_are_written_as_people_do() -> None:
    assert texts("de").date(date(2026, 11, 2)) == "02.11.2026"
    assert texts("en").date(date(2026, 11, 2)) == "2 Nov 2026"


def test_times_are_left_to_slack_with_a_fallback() -> None:
    said = texts("en").moment(datetime(2026, 11, 2, 9, 5, tzinfo=UTC))
    assert said == "<!date^1793610300^{date_short_pretty} {time}|2 Nov 2026 09:05 UTC>"


def test_plural_forms_follow_the_number() -> None:
    t = texts("de")
    assert "1 Rechnung importiert" in t.md_n("digest.done", 1, account="A")
    assert "2 Rechnungen importiert" in t.md_n("digest.done", 2, account="A")


def test_an_unknown_language_is_english() -> None:
    assert Texts("tlh").language == "en"
