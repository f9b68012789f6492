"""Where the official rules are, which releases they are, and how they come here.

`euinvoice` pins every file by sha256 and keeps them in one directory per source. Nothing is
downloaded by itself: `xtool rules fetch` does it.
Without them the stand-in judges, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

from euinvoice.errors import ArtifactIntegrityError, ArtifactsNotAvailableError
from euinvoice.validation import artifacts
from euinvoice.validation.artifacts import SourceName

from sync.documents.errors import RulesError
from sync.errors import Kind
from sync.model import Frozen

NEEDED: Final[tuple[SourceName, ...]] = (
    "schxslt",
    "cen-ubl",
    "cen-cii",
    "peppol-bis",
    "xrechnung-schematron",
    "xrechnung-validator-configuration",
    "ubl-2_1",
)
"""What judging UBL and CII takes; the test suites and Italy's schema are left out."""

FETCH_COMMAND: Final = "xtool rules fetch"
BROKEN: Final = "rules.integrity"
"""The code of rules that are not what was pinned."""

Progress = Callable[[int, int, str], None]
"""Called with the number of sources done, the number of all, and the source's name."""


class RulesStatus(Frozen):
    """What `xtool doctor` shows."""

    available: bool
    directory: str
    missing: tuple[str, ...] = ()
    versions: dict[str, str]


def use(directory: Path) -> None:
    """Keep the rules below `directory` (`XTOOL_DATA_DIR/rules`).

    `EUINVOICE_ARTIFACTS_DIR`, if the operator set it, wins. Child processes inherit it.
    """
    os.environ.setdefault(artifacts.ENV_VAR, str(directory.absolute()))


def status() -> RulesStatus:
    """What is there, without any network."""
    manifest = artifacts.load_manifest()
    missing = tuple(name for name in NEEDED if not _is_here(name))
    return RulesStatus(
        available=not missing,
        directory=str(artifacts.cache_dir()),
        missing=missing,
        versions={name: manifest[name].version for name in NEEDED},
    )


def available() -> bool:
    """Whether every needed source is here and is what was pinned."""
    return all(_is_here(name) for name in NEEDED)


def versions() -> dict[str, str]:
    """The pinned releases: `cen`, `peppol` and `xrechnung`."""
    manifest = artifacts.load_manifest()
    return {
        "cen": manifest["cen-ubl"].version,
        "peppol": manifest["peppol-bis"].version,
        "xrechnung": manifest["xrechnung-schematron"].version,
    }


def fetch(progress: Progress | None = None) -> RulesStatus:
    """Download what is missing, check it against its pinned hash, and keep it.

    Blocking: 60 MB and some seconds of compiling. What is complete is not touched again, and an
    interrupted download leaves nothing half. Raises `RulesError`: `rules.unavailable` if a
    download failed, `rules.integrity` if it is not what was pinned.
    """
    report = progress or (lambda *_: None)
    for done, name in enumerate(NEEDED):
        report(done, len(NEEDED), name)
        _fetch_one(name)
    report(len(NEEDED), len(NEEDED), "")
    return status()


def _fetch_one(name: SourceName) -> None:
    try:
        artifacts.fetch([name])
    except ArtifactIntegrityError as exc:
        raise RulesError(_told(exc), code=BROKEN, kind=Kind.PERMANENT, source=name) from None
    except (ArtifactsNotAvailableError, OSError) as exc:
        raise RulesError(_told(exc), code="rules.unavailable", source=name) from None


def _told(problem: Exception) -> str:
    """The words of `euinvoice`, with our command: its own would fill another directory."""
    return str(problem).replace(artifacts.FETCH_COMMAND, FETCH_COMMAND)[:600]


def unusable(problem: Exception | None = None) -> RulesError:
    """Rules that are here and cannot be used: half removed, or damaged on the disk.

    The stand-in does not step in: the operator chose the official rules. Work goes on by itself
    when they are right again.
    """
    source = next((name for name in NEEDED if name in str(problem)), "")
    return RulesError(
        f"the official rules in {artifacts.cache_dir()} are damaged; delete that directory and "
        f"run `{FETCH_COMMAND}`",
        code=BROKEN,
        kind=Kind.TRANSIENT,
        source=source,
    )


def _is_here(name: SourceName) -> bool:
    try:
        artifacts.source_dir(name)
    except ArtifactsNotAvailableError:
        return False
    return True


assert set(NEEDED) <= set(get_args(SourceName)), "a source was renamed"  # noqa: S101
