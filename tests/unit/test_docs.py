"""The documentation says what the code does."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from bot.installations import STATE_SECONDS
from bot.people import KEEP_SECONDS
from bot.settings import BotSettings
from bot.store import CARD_SECONDS
from sync.settings import Settings
from sync.store.keys import Keys
from sync.store.organisation import ERASE_AGAIN, RUN_DAYS

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = {**Settings.variables(), **BotSettings.variables()}


def table() -> dict[str, str]:
    """Variable to the default as the README's table of settings has it."""
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("\n## Settings\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            names, _, default = (cell.strip() for cell in line.strip().strip("|").split("|"))
            defaults = default.split(", ")
            for place, name in enumerate(re.findall(r"`([A-Z_]+)`", names)):
                found[name] = defaults[place] if place < len(defaults) else default
    return found


def test_every_setting_is_in_the_readme_and_no_other() -> None:
    assert set(table()) == set(VARIABLES)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, default in VARIABLES.items()
        if default is not None and default is not PydanticUndefined
    ],
)
def test_the_readme_gives_the_real_default(name: str) -> None:
    default = VARIABLES[name]
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    assert table()[name] == f"`{shown}`"


def test_the_requirements_have_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pins = re.findall(r"^[a-z0-9][^\s#]*==\S+", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pins) == len(blocks) > 30
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    assert "index" not in re.sub(r"#.*", "", text)


def test_the_requirements_have_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = {
        re.split(r"[\[<>=~!;\s]", line, maxsplit=1)[0].lower() for line in project["dependencies"]
    }
    text = (ROOT / "requirements.txt").read_text("utf-8")
    assert wanted <= set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))


def test_the_readmes_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    wanted = set(re.findall(r"(?:`|^)make ([a-z]+)", readme, re.MULTILINE))
    assert {"sandbox", "test"} <= wanted
    assert wanted <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def test_the_privacy_page_says_how_long_things_are_really_kept() -> None:
    page = (ROOT / "PRIVACY.md").read_text("utf-8")
    days = 24 * 3600
    kept = Settings.variables()["XTOOL_KEEP_DOCUMENTS_DAYS"]
    assert f"{kept} days after it was stored (`XTOOL_KEEP_DOCUMENTS_DAYS`)" in page
    assert f"| the digest | {RUN_DAYS} days |" in page
    assert f"| {CARD_SECONDS // days} days |" in page
    assert f"| {STATE_SECONDS // 60} minutes |" in page
    first, second = (int(after.total_seconds() // 60) for after in ERASE_AGAIN)
    assert f"after {first} and after {second} minutes" in page.replace("\n  ", " ")
    assert KEEP_SECONDS == 5 * 60


def test_every_kind_of_stored_key_is_on_the_privacy_page() -> None:
    """A new key is a new line there, or is named here as one that says nothing of anybody."""
    told = {"record", "contacts", "receivers", "unexportable", "audit", "token", "document", "run"}
    told |= {"connection", "listed"}
    nobody = {"records", "state", "due", "numbers", "providers", "called", "noticed", "events"}
    nobody |= {"run_counts", "run_invoices", "last_run", "lease", "tag_names", "flags", "cache"}
    names = {n for n in vars(Keys) if not n.startswith("_")} - {"org", "prefix"}
    assert names == told | nobody
