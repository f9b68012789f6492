"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.disk import FailingDisk
from tests.faults.processes import Launcher

_FIGURES: pytest.StashKey[list[str]] = pytest.StashKey()


@pytest.fixture(scope="session")
def launcher() -> Iterator[Launcher]:
    """Forks workers."""
    made = Launcher()
    yield made
    made.close()


@pytest.fixture
def failing_disk(tmp_path: Path) -> Iterator[FailingDisk]:
    """Below the store's directory."""
    directory = tmp_path / "store"
    directory.mkdir()
    disk = FailingDisk(directory)
    if not disk.make():
        pytest.skip("a disk that fails needs the right to mount one")
    yield disk
    disk.unmount()


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Report what was measured, in a section at the end of the run."""
    kept = request.config.stash.setdefault(_FIGURES, [])
    return lambda text: kept.append(f"{request.node.name}: {text}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures."""
    kept = terminalreporter.config.stash.get(_FIGURES, [])
    if kept:
        terminalreporter.section("figures")
        terminalreporter.write_line("\n".join(kept))
