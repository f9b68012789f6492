"""Anything in any order; see `tests.engine.machine`."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

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


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
def test_anything_in_any_order_for_a_night(machine: type[EngineMachine]) -> None:
    examples = int(os.environ.get("XTOOL_MACHINE_EXAMPLES", "2000"))
    run_state_machine_as_test(machine, settings=profile(examples, 50))
