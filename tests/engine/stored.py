"""What is in the store of an organisation at one moment, and what of it does not fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sync import delivery
from sync.drain import TAKEN_FOR
from sync.model import Event, InvoiceRecord, InvoiceState
from sync.store.keys import Keys
from sync.store.records import parse

LONG_AGO = datetime.min.replace(tzinfo=UTC)
# Polls count what waits for a person, and do not read what was sent (`sync.reading`).
MAY_WAIT = delivery.UNSENT | {InvoiceState.WITHDRAWN}
STATES = [state.value for state in InvoiceState]

READ = """
local p, records, runs, states, met = ARGV[1], {}, {}, {}, {}
for _, id in ipairs(redis.call('SMEMBERS', p .. 'invs')) do
  local r = redis.call('HMGET', p .. 'inv:' .. id, 'v', 's', 'r', 'd')
  records[#records + 1] = {id, r[1] or '', r[2] or '', r[3] or '', r[4] or ''}
  if r[3] and r[3] ~= '' and not met[r[3]] then
    met[r[3]] = true
    runs[#runs + 1] = {r[3], redis.call('HGETALL', p .. 'runc:' .. r[3])}
  end
end
for i = 3, #ARGV do states[#states + 1] = redis.call('ZRANGE', p .. 'state:' .. ARGV[i], 0, -1) end
return {records, runs, states, redis.call('ZRANGE', p .. 'due', 0, -1, 'WITHSCORES'),
  redis.call('XRANGE', p .. 'events', ARGV[2], '+')}
"""


def read(org: str, after: str = "") -> tuple[str | int, ...]:
    """The command; with the events after a stream id."""
    return ("EVAL", READ, 0, Keys(org).prefix, f"({after}" if after else "-", *STATES)


@dataclass
class Stored:
    """What was read, and what was known before. Events must not be trimmed before they are read."""

    records: dict[str, InvoiceRecord] = field(default_factory=dict)
    told: set[tuple[str, str]] = field(default_factory=set)  # invoice and state
    after: str = ""  # the last event
    latest: datetime = LONG_AGO  # the clock may be set back
    _raw: dict[str, list[str]] = field(default_factory=dict)
    _state_told: dict[str, str] = field(default_factory=dict)

    def take(self, answer: list[Any], now: datetime) -> list[str]:
        """The answer to `read`; returns what is wrong with it."""
        raw, runs, states, due, events = answer
        problems = [p for row in raw for p in self._record(row)]
        problems += self._lost(raw)
        problems += _in_wrong_sets(self.records, states)
        self.latest = max(self.latest, now)
        problems += _due_problems(self.records, due, self.latest)
        problems += _run_problems(self.records, runs)
        problems += [p for row in events for p in self._event(row)]
        problems += self._not_told()
        return problems

    def _record(self, row: list[str]) -> Iterator[str]:
        """A record changes with its version, and never without."""
        invoice_id, version, state, run, data = row
        before = self._raw.get(invoice_id)
        if before == row:
            return
        if not data:
            yield f"{invoice_id} is in the set without a record"
            return
        if before is not None and int(version) <= int(before[1]):
            yield f"{invoice_id} went from version {before[1]} to {version}"
        found = parse(version, data)
        if (found.state.value, found.run) != (state, run):
            yield f"{invoice_id} is {found.state} of {found.run}, and {state} of {run} beside it"
        if found.hold and found.state not in MAY_WAIT:
            yield f"{invoice_id} is {found.state} and waits for a person: {found.hold}"
        self._raw[invoice_id], self.records[invoice_id] = row, found

    def _lost(self, raw: list[list[str]]) -> Iterator[str]:
        for invoice_id in self._raw.keys() - {row[0] for row in raw}:
            yield f"{invoice_id} is lost"

    def _event(self, row: list[Any]) -> Iterator[str]:
        """Each change of a state is told, in the order in which they were made."""
        self.after, fields = row
        event = Event.model_validate_json(dict(zip(fields[::2], fields[1::2], strict=True))["d"])
        if not event.invoice_id:
            return
        before = self._state_told.get(event.invoice_id, "")
        if event.before != before:
            yield f"{event.invoice_id}: {event.before} to {event.after} was told after {before}"
        if event.before == "sent" and event.after not in ("sent", "imported"):
            yield f"{event.invoice_id} was sent and became {event.after}"
        self._state_told[event.invoice_id] = event.after
        self.told.add((event.invoice_id, event.after))

    def _not_told(self) -> Iterator[str]:
        for invoice_id, found in self.records.items():
            if self._state_told.get(invoice_id) != found.state.value:
                yield f"{invoice_id} is {found.state}; told: {self._state_told.get(invoice_id)}"


def _in_wrong_sets(records: dict[str, InvoiceRecord], states: list[list[str]]) -> Iterator[str]:
    for state, members in zip(STATES, states, strict=True):
        truth = {i for i, found in records.items() if found.state.value == state}
        if set(members) != truth:
            yield f"state set {state} holds {sorted(members)}, not {sorted(truth)}"


def _due_problems(
    records: dict[str, InvoiceRecord], flat: list[str], now: datetime
) -> Iterator[str]:
    due = {i: float(at) for i, at in zip(flat[::2], flat[1::2], strict=True)}
    latest = (now + TAKEN_FOR).timestamp()
    for i, found in records.items():
        at = delivery.wake_at(found)
        if (at is None) != (i not in due):
            yield f"{i} in {found.state}: due {due.get(i)}, wake at {at}"
        elif at is not None and due[i] > max(at.timestamp(), latest):
            yield f"{i} is due later than it wakes"


def _run_problems(records: dict[str, InvoiceRecord], runs: list[Any]) -> Iterator[str]:
    for run, flat in runs:
        kept = {state: int(n) for state, n in zip(flat[::2], flat[1::2], strict=True) if int(n)}
        truth = Counter(r.state.value for r in records.values() if r.run == run)
        if kept != dict(truth):
            yield f"run {run} counts {kept}, not {dict(truth)}"
