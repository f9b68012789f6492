"""`xtool rules`: fetch the official validation rules, or say which are here."""

from __future__ import annotations

import sys
from pathlib import Path

from sync.documents import rules
from sync.documents.errors import RulesError

BAR = 24  # characters


def fetch(directory: Path) -> int:
    """Download what is missing; the process's exit status."""
    rules.use(directory)
    try:
        found = rules.fetch(_progress)
    except RulesError as error:
        source = error.params.get("source", "")
        print(
            f"\nxtool: the rules from {source} could not be had: {error}\n"
            "Until they are here, documents are judged by the built-in stand-in. "
            "Run `xtool rules fetch` again when this machine can reach the internet.",
            file=sys.stderr,
        )
        return 1
    return _show(found)


def status(directory: Path) -> int:
    """Say which rules are here; exit status 1 if some are missing."""
    rules.use(directory)
    return _show(rules.status())


def _show(found: rules.RulesStatus) -> int:
    for name, version in found.versions.items():
        mark = "missing" if name in found.missing else "here"
        print(f"{name:<36} {version:<16} {mark}")
    print(f"in {found.directory}")
    if not found.available:
        print("Run `xtool rules fetch`; until then the built-in stand-in judges documents.")
    return 0 if found.available else 1


def _progress(done: int, total: int, name: str) -> None:
    filled = BAR * done // total
    bar = "#" * filled + "." * (BAR - filled)
    end = "\n" if done == total or not sys.stderr.isatty() else ""
    start = "\r" if sys.stderr.isatty() else ""
    print(f"{start}[{bar}] {done}/{total} {name:<36}", end=end, file=sys.stderr, flush=True)
