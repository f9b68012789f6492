"""The settings of the Slack side and the web process, read from environment variables."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from bot.support import support_url
from sync.settings import EnvironmentSettings, safe_url


def _api_url(text: str) -> str:
    """slack_sdk joins method names to it, so it ends with a slash."""
    return safe_url(text) + "/"


def _bot_token(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith("xoxb-"):
        raise ValueError("must be the Bot User OAuth Token, which begins with xoxb-")
    return secret


class BotSettings(EnvironmentSettings):
    """Everything `bot` can be told. The README's table has a line for each variable."""

    slack_signing_secret: SecretStr
    slack_bot_token: Annotated[SecretStr, AfterValidator(_bot_token)] | None = None
    slack_client_id: str | None = None
    slack_client_secret: SecretStr | None = None
    slack_api_url: Annotated[str, AfterValidator(_api_url)] = "https://slack.com/api/"
    host: str = "127.0.0.1"
    xtool_support_url: Annotated[str, AfterValidator(support_url)] | None = None
    port: int = Field(default=3000, ge=0, le=65535)  # 0: any free port

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        """One workspace by its token, or many by OAuth."""
        client = (self.slack_client_id, self.slack_client_secret)
        if any(client) and not all(client):
            raise ValueError(
                "SLACK_CLIENT_ID and SLACK_CLIENT_SECRET are set together or not at all"
            )
        if self.slack_bot_token is None and not all(client):
            raise ValueError(
                "Set SLACK_BOT_TOKEN for one workspace, "
                "or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET for many"
            )
        if self.slack_bot_token is not None and all(client):
            raise ValueError(
                "Set either SLACK_BOT_TOKEN or SLACK_CLIENT_ID and SLACK_CLIENT_SECRET, not both"
            )
        return self

    @property
    def oauth(self) -> bool:
        """Whether workspaces install the app by themselves."""
        return self.slack_client_id is not None
