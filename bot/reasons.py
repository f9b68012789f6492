"""From a reason's code to a sentence and a next step.

The catalogues hold `reason.<code>` and `next.<code>` for every code that `sync` can raise, and
`finding.<kind>` with `finding.<kind>.where` for each kind of mistake in a document. What is not
there is still told: in the general sentence of its kind, with the code as a reference.
"""

from __future__ import annotations

from collections.abc import Iterable

from bot.texts import Mrkdwn, Texts, clean, escape
from sync.documents.findings import OTHER, grouped
from sync.errors import Finding, Reason

SHOWN_FINDINGS = 3


def sentence(t: Texts, reason: Reason) -> Mrkdwn:
    """What is wrong, in plain words."""
    key = f"reason.{reason.code}"
    if t.has(key):
        return t.md(key, **_values(t, reason))
    return t.md(f"reason.kind.{reason.kind.value}", code=reason.code)


def next_step(t: Texts, reason: Reason) -> Mrkdwn:
    """What the person does about it."""
    key = f"next.{reason.code}"
    if t.has(key):
        return t.md(key, **_values(t, reason))
    return t.md(f"next.kind.{reason.kind.value}")


def in_words(t: Texts, reason: Reason) -> Mrkdwn:
    """Sentence and next step, for an answer."""
    step = t.md("failure.next", step=next_step(t, reason))
    return Mrkdwn(f"{sentence(t, reason)}\n{step}")


def plain_sentence(t: Texts, reason: Reason) -> str:
    """What is wrong, for plain fields."""
    key = f"reason.{reason.code}"
    if t.has(key):
        return t.plain(key, **{k: str(v) for k, v in _values(t, reason).items()})
    return t.plain(f"reason.kind.{reason.kind.value}", code=reason.code)


def findings(t: Texts, found: Iterable[Finding]) -> list[Mrkdwn]:
    """The first findings in words, each with its rule, and how many more there are."""
    groups = list(grouped(found).items())
    # What has no sentence of its own is a finding each; the others are one for each mistake.
    single = [(code, one) for code, found in groups for one in _each(code, found)]
    shown = [_finding(t, code, one) for code, one in single[:SHOWN_FINDINGS]]
    more = len(single) - len(shown)
    return [*shown, t.md_n("findings.more", more)] if more > 0 else shown


def notes(t: Texts, warnings: Iterable[Finding]) -> list[Mrkdwn]:
    """What is worth knowing of an invoice that may be sent all the same, a line each."""
    return [
        t.md("list.note", note=_short(t, code, one))
        for code, found in grouped(warnings).items()
        for one in _each(code, found)
    ][:SHOWN_FINDINGS]


def _short(t: Texts, code: str, finding: Finding) -> Mrkdwn:
    rule = clean(finding.rule, 60)
    known = code != OTHER and t.has(code)
    words = Mrkdwn(t.md(code)) if known else escape(finding.message or finding.location, 200)
    return t.md("list.note_rule", sentence=words, rule=rule)


def _each(code: str, found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return found if code == OTHER else found[:1]


def _finding(t: Texts, code: str, finding: Finding) -> Mrkdwn:
    rule = clean(finding.rule, 60)
    if code == OTHER or not t.has(code):
        words = escape(finding.message or finding.location, 200)
        return t.md("findings.unknown", sentence=words, rule=rule)
    sentence = Mrkdwn(t.md(code))
    return t.md("findings.where", sentence=sentence, rule=rule, where=t.md(f"{code}.where"))


def _values(t: Texts, reason: Reason) -> dict[str, object]:
    """The parameters; states and tags among them are named in the reader's language."""
    values: dict[str, object] = dict(reason.params)
    if "limit" in values and str(values["limit"]).isdigit():
        values["limit"] = t.number(int(str(values["limit"])))
    return values
