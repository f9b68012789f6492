"""Where the official rules are, and how they come here: without any network in these tests."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from euinvoice.validation import artifacts

from sync.documents import rules
from sync.documents.errors import RulesError
from sync.errors import Kind


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory for the rules."""
    monkeypatch.setenv(artifacts.ENV_VAR, str(tmp_path / "rules"))
    return tmp_path / "rules"


def archive(name: str) -> bytes:
    """A zip with one file in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(f"top/{name}.txt", name)
    return buffer.getvalue()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A publisher of our own: every needed source as a small archive, pinned by its hash."""
    files = {f"https://rules.example/{name}.zip": archive(name) for name in rules.NEEDED}
    manifest = {
        name: artifacts.Source(
            name=name,
            version="1",
            url=(url := f"https://rules.example/{name}.zip"),
            sha256=hashlib.sha256(files[url]).hexdigest(),
            license="none",
            members=("*",),
        )
        for name in rules.NEEDED
    }
    monkeypatch.setattr(artifacts, "_packaged_manifest", lambda: manifest)
    monkeypatch.setattr(artifacts, "_open_url", lambda url: io.BytesIO(files[url]))
    return files


def test_without_the_files_the_status_says_what_is_missing(directory: Path) -> None:
    found = rules.status()
    assert not found.available
    assert found.missing == rules.NEEDED
    assert found.directory == str(directory)
    assert found.versions["peppol-bis"] == "3.0.21"


def test_the_pinned_releases_are_named() -> None:
    assert rules.versions() == {"cen": "1.3.16", "peppol": "3.0.21", "xrechnung": "2.6.0"}


def test_fetching_makes_the_rules_available(published: dict[str, bytes]) -> None:
    assert rules.fetch().available
    assert rules.available()


def test_fetching_tells_how_far_it_is(published: dict[str, bytes]) -> None:
    told: list[tuple[int, int, str]] = []
    rules.fetch(lambda *step: told.append(step))
    count = len(rules.NEEDED)
    assert told[0] == (0, count, rules.NEEDED[0])
    assert told[-1] == (count, count, "")


def test_what_is_there_is_not_fetched_again(published: dict[str, bytes]) -> None:
    rules.fetch()
    published.clear()
    assert rules.fetch().available


def test_a_failed_download_is_told_and_may_be_repeated(
    published: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str) -> io.BytesIO:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(artifacts, "_open_url", refuse)
    with pytest.raises(RulesError) as caught:
        rules.fetch()
    assert caught.value.reason.code == "rules.unavailable"
    assert caught.value.reason.kind is Kind.TRANSIENT
    assert caught.value.reason.params == {"source": "schxslt"}
    assert "`xtool rules fetch`" in str(caught.value)
    assert "euinvoice artifacts" not in str(caught.value)  # it would fill another directory


def test_a_download_that_is_not_what_was_pinned_is_refused(published: dict[str, bytes]) -> None:
    published["https://rules.example/cen-ubl.zip"] = archive("changed")
    with pytest.raises(RulesError) as caught:
        rules.fetch()
    assert caught.value.reason.code == "rules.integrity"
    assert caught.value.reason.kind is Kind.PERMANENT
    assert not rules.available()


def test_an_interrupted_fetch_goes_on_where_it_was(published: dict[str, bytes]) -> None:
    good = published["https://rules.example/ubl-2_1.zip"]
    published["https://rules.example/ubl-2_1.zip"] = b"half"
    with pytest.raises(RulesError):
        rules.fetch()
    assert rules.status().missing == ("ubl-2_1",)
    published["https://rules.example/ubl-2_1.zip"] = good
    assert rules.fetch().available


def test_a_directory_of_the_operator_wins(
    tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules.use(tmp_path / "other")
    assert rules.status().directory == str(directory)
    monkeypatch.delenv(artifacts.ENV_VAR)
    rules.use(tmp_path / "other")
    assert rules.status().directory == str(tmp_path / "other")


def test_rules_that_were_half_removed_are_not_used(
    published: dict[str, bytes], directory: Path
) -> None:
    rules.fetch()
    (directory / "peppol-bis" / "1" / artifacts.MARKER).unlink()
    assert rules.status().missing == ("peppol-bis",)
