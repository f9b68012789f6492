"""`python -m tests.benchmarks [NAME …]`: run the benchmarks, all or those named.

A benchmark is a module `bench_NAME.py` here with `async def measure() -> list[Figure]`. They talk
to loopback only, and print figures; whether one is good enough is said where it is asked for.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import platform
import sys
from pathlib import Path

import structlog

from tests import loopback


def names() -> list[str]:
    """All benchmarks."""
    return sorted(path.stem[6:] for path in Path(__file__).parent.glob("bench_*.py"))


def main(wanted: list[str]) -> int:
    """Run and print."""
    if unknown := set(wanted) - set(names()):
        print(f"no such benchmark: {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
        return 2
    loopback.install()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(f"Python {platform.python_version()}, {platform.machine()}")
    for name in wanted or names():
        print(f"\n{name}", flush=True)
        module = importlib.import_module(f"tests.benchmarks.bench_{name}")
        for figure in asyncio.run(module.measure()):
            print(f"  {figure}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
