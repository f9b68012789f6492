"""Anything in any order; see `tests.engine.machine`."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.engine.direct import Line
from tests.engine.machine import EngineMachine


def profile(examples: int, steps: int) -> settings:
    """An example is a few hundred milliseconds, so that of "too slow" says nothing."""
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )


@pytest.mark.timeout(300)
def test_anything_in_any_order(machine: type[EngineMachine]) -> None:
    run_state_machine_as_test(machine, settings=profile(200, 30))


def test_the_same_steps_do_the_same_again(
    machine: type[EngineMachine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a finding could not be repeated: real time and chance decide nothing."""
    asked: list[tuple[object, ...]] = []
    ask = Line.ask

    def noting(line: Line, commands: Iterable[tuple[object, ...]]) -> list[object]:
        sent = list(commands)
        asked.extend(args[: 4 if args[0] == "EVALSHA" else 2] for args in sent)
        return ask(line, sent)

    monkeypatch.setattr(Line, "ask", noting)
    few = settings(
        profile(10, 30), phases=[Phase.generate], derandomize=True, database=None, print_blob=False
    )
    run_state_machine_as_test(machine, settings=few)
    first = asked.copy()
    asked.clear()
    run_state_machine_as_test(machine, settings=few)
    assert len(first) > 1000
    assert asked == first


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_anything_in_any_order_for_a_night(machine: type[EngineMachine]) -> None:
    examples = int(os.environ.get("XTOOL_MACHINE_EXAMPLES", "2000"))
    run_state_machine_as_test(machine, settings=profile(examples, 50))
