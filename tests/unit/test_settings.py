from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.settings import BotSettings
from sync.errors import ConfigurationError
from sync.model import ParticipantId
from sync.settings import Settings

CANARY = "c4nary-s3cret"
_OURS = ("XTOOL_", "SEVDESK_", "PEPPOL_", "REDIS_URL", "SLACK_", "HOST", "PORT")

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        monkeypatch.delenv(name)

    def put(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def test_defaults_are_those_of_the_documentation(environment: Environment) -> None:
    settings = Settings.load()
    assert settings.sevdesk_api_url == "https://my.sevdesk.de/api/v1"
    assert settings.access_point_url == "https://app.recommand.eu/api/v1"
    assert (settings.peppol_provider, settings.peppol_lookup) == ("recommand", "auto")
    assert (settings.data_dir, settings.tag) == (Path(".xtool"), "xTool")
    assert (settings.poll_seconds, settings.retry_seconds, settings.sevdesk_rps) == (300, 5, 4)
    not_set = (settings.redis_url, settings.encryption_keys, settings.peppol_sender_id)
    assert not_set == (None, None, None)


def test_an_empty_variable_counts_as_not_set(environment: Environment) -> None:
    environment(XTOOL_POLL_SECONDS="", REDIS_URL="", PEPPOL_SENDER_ID="", PEPPOL_API_URL="")
    settings = Settings.load()
    assert settings.poll_seconds == 300
    assert (settings.redis_url, settings.peppol_sender_id) == (None, None)


def test_the_senders_peppol_id_is_parsed(environment: Environment) -> None:
    environment(PEPPOL_SENDER_ID="9930:DE123456788")
    assert Settings.load().peppol_sender_id == ParticipantId(scheme="9930", value="DE123456788")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XTOOL_POLL_SECONDS", "0"),
        ("XTOOL_POLL_SECONDS", CANARY),
        ("XTOOL_RETRY_SECONDS", "-1"),
        ("XTOOL_SEVDESK_RPS", "nan"),
        ("XTOOL_KEEP_DOCUMENTS_DAYS", "0"),
        ("XTOOL_TAG", "a,b"),
        ("PEPPOL_SENDER_ID", CANARY),
        ("PEPPOL_PROVIDER", CANARY),
        ("PEPPOL_LOOKUP", CANARY),
        ("PEPPOL_API_URL", f"https://user:{CANARY}@example.com"),
        ("PEPPOL_API_URL", f"http://{CANARY}.example.com"),
        ("SEVDESK_API_URL", f"http://example.com/{CANARY}"),
        ("SEVDESK_API_URL", f"https://[{CANARY}"),
        ("REDIS_URL", f"http://:{CANARY}@example.com"),
    ],
)
def test_a_wrong_value_is_named_but_not_repeated(
    environment: Environment, name: str, value: str
) -> None:
    environment(**{name: value})
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert name in str(caught.value)
    assert CANARY not in f"{caught.value!r} {caught.value.params} {caught.value.__cause__}"


def test_plain_http_is_for_this_machine_only(environment: Environment) -> None:
    environment(SEVDESK_API_URL="http://127.0.0.1:8080/api/v1", PEPPOL_API_URL="http://[::1]:1/")
    assert Settings.load().access_point_url == "http://[::1]:1"


def test_ones_own_access_point_needs_an_address(environment: Environment) -> None:
    environment(PEPPOL_PROVIDER="phoss-ap")
    with pytest.raises(ConfigurationError, match="PEPPOL_API_URL is required"):
        Settings.load()


def test_ones_own_access_point_may_stand_in_a_private_network(environment: Environment) -> None:
    environment(PEPPOL_PROVIDER="phoss-ap", PEPPOL_API_URL="http://phoss:8080")
    assert Settings.load().access_point_url == "http://phoss:8080"


def test_missing_credentials_are_named(environment: Environment) -> None:
    environment(PEPPOL_API_KEY="key")
    assert Settings.load().missing_credentials == ("PEPPOL_API_SECRET", "PEPPOL_COMPANY_ID")


def test_secrets_do_not_show_in_the_repr(environment: Environment) -> None:
    environment(
        REDIS_URL=f"redis://:{CANARY}@localhost",
        PEPPOL_API_KEY=CANARY,
        PEPPOL_API_SECRET=CANARY,
        XTOOL_ENCRYPTION_KEYS=CANARY,
    )
    assert CANARY not in repr(Settings.load())


def test_a_given_value_wins_over_the_environment(environment: Environment) -> None:
    environment(XTOOL_POLL_SECONDS="60")
    assert Settings.load(poll_seconds=2).poll_seconds == 2


def test_one_workspace_is_served_by_its_token(environment: Environment) -> None:
    environment(
        SLACK_SIGNING_SECRET="s", SLACK_BOT_TOKEN="xoxb-1", SLACK_API_URL="https://a.test/api"
    )
    settings = BotSettings.load()
    assert not settings.oauth
    assert (settings.slack_api_url, settings.host, settings.port) == (
        "https://a.test/api/",
        "127.0.0.1",
        3000,
    )


def test_many_workspaces_are_served_by_oauth(environment: Environment) -> None:
    environment(SLACK_SIGNING_SECRET="s", SLACK_CLIENT_ID="1.2", SLACK_CLIENT_SECRET="c")
    assert BotSettings.load().oauth


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1"}, "SLACK_SIGNING_SECRET is required"),
        ({"SLACK_SIGNING_SECRET": CANARY}, "Set SLACK_BOT_TOKEN for one workspace"),
        (
            {"SLACK_SIGNING_SECRET": CANARY, "SLACK_CLIENT_ID": "1"},
            "set together or not at all",
        ),
        (
            {
                "SLACK_SIGNING_SECRET": CANARY,
                "SLACK_BOT_TOKEN": "xoxb-1",
                "SLACK_CLIENT_ID": "1",
                "SLACK_CLIENT_SECRET": CANARY,
            },
            "not both",
        ),
        (
            {"SLACK_SIGNING_SECRET": "s", "SLACK_BOT_TOKEN": f"xoxp-{CANARY}"},
            "SLACK_BOT_TOKEN must",
        ),
        ({"SLACK_SIGNING_SECRET": "s", "SLACK_BOT_TOKEN": "xoxb-1", "PORT": "70000"}, "PORT"),
    ],
)
def test_slack_settings_that_cannot_work_stop_the_start(
    environment: Environment, variables: dict[str, str], sentence: str
) -> None:
    environment(**variables)
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        BotSettings.load()
    assert CANARY not in str(caught.value)
