"""The command line, as an operator meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bot.cli import EXIT_FAILED, EXIT_SETTINGS, main
from bot.manifest import EXAMPLE_URL, manifest_for, to_yaml


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EUINVOICE_ARTIFACTS_DIR", str(tmp_path / "rules"))
    monkeypatch.setattr("bot.cli.configure_logging", lambda: None)  # would outlive the test
    for name in ("SLACK_SIGNING_SECRET", "SLACK_BOT_TOKEN", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_missing_setting_is_named_and_stops_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve"]) == EXIT_SETTINGS
    assert "SLACK_SIGNING_SECRET is required but not set" in capsys.readouterr().err


def test_the_manifest_is_for_the_given_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manifest", "--url", "https://peppol.example.org"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    url = shown["settings"]["interactivity"]["request_url"]
    assert url == "https://peppol.example.org/slack/events"


def test_a_manifest_for_plain_http_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manifest", "--url", "http://peppol.example.org"]) == EXIT_SETTINGS
    assert "https" in capsys.readouterr().err


def test_the_manifest_check_ignores_comments(tmp_path: Path) -> None:
    text = "# about\n" + to_yaml(manifest_for(EXAMPLE_URL))
    (tmp_path / "manifest.yml").write_text(text, encoding="utf-8")
    assert main(["manifest", "--check"]) == 0


@pytest.mark.parametrize("text", [None, "features: {}", "{", to_yaml(manifest_for("https://a.b"))])
def test_the_manifest_check_sees_a_difference(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "manifest.yml").write_text(text, encoding="utf-8")
    assert main(["manifest", "--check"]) == EXIT_FAILED


def test_missing_rules_are_said_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "status"]) == 1
    assert "xtool rules fetch" in capsys.readouterr().out
