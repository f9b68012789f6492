"""Where the official documents that some tests read are; they are not part of this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parent.parent


def spec_path(relative: str) -> Path:
    """The file or directory `relative` below `XTOOL_SPEC_DIR`; skips the test without it."""
    base = Path(os.environ.get("XTOOL_SPEC_DIR") or _REPOSITORY.parent / "shared" / "data")
    path = base / relative
    if not path.exists():
        pytest.skip(f"{relative} is not there; set XTOOL_SPEC_DIR to the directory that holds it")
    return path
