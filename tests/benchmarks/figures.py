"""What a benchmark gives back: figures, each with its unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        """A line of the table."""
        digits = 0 if abs(self.value) >= 100 else 2
        return f"{self.name:<60} {self.value:>12,.{digits}f} {self.unit}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def ratio(name: str, measured: Sequence[float], baseline: Sequence[float]) -> Figure:
    """Median of one series as a multiple of that of a baseline from the same run."""
    return Figure(name, percentile(measured, 0.5) / percentile(baseline, 0.5), "x")


def spread(name: str, values: Iterable[float], unit: str) -> list[Figure]:
    """Median, 99th percentile and maximum of one series."""
    series = list(values)
    return [
        Figure(f"{name}, median", percentile(series, 0.5), unit),
        Figure(f"{name}, p99", percentile(series, 0.99), unit),
        Figure(f"{name}, max", max(series), unit),
    ]
