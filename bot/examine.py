"""`xtool doctor`: every setting and every connection, and what to fix."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from bot.settings import BotSettings
from bot.slack import SlackClients, SlackError, SlackUnavailableError, TokenGoneError
from sync import doctor
from sync.doctor import Check, Result, Status
from sync.doctor_checks import standard_checks
from sync.errors import ConfigurationError
from sync.log import register_secrets
from sync.runtime import make_access_point
from sync.settings import Settings
from sync.sevdesk.transport import build_http

MARKS = {Status.OK: "ok  ", Status.WARN: "warn", Status.FAIL: "FAIL"}


async def examine() -> int:
    """Print one line for each finding; 0 unless something does not work."""
    results = [*await _sync_results(), *await _slack_results()]
    for result in results:
        print(f"{MARKS[result.status]}  {result.name}: {result.sentence}")
        if result.advice:
            print(f"      → {result.advice}")
    return 1 if doctor.worst(results) is Status.FAIL else 0


async def _sync_results() -> list[Result]:
    try:
        settings = Settings.load()
    except ConfigurationError as error:
        return [_setting(error)]
    register_secrets(settings.peppol_api_key, settings.peppol_api_secret, settings.redis_url)
    async with build_http() as http:
        try:
            access_point = make_access_point(settings, http)
        except ConfigurationError as error:
            return [_setting(error)]
        return await doctor.examine(standard_checks(settings, http, access_point))


async def _slack_results() -> list[Result]:
    try:
        settings = BotSettings.load()
    except ConfigurationError as error:
        return [_setting(error)]
    register_secrets(settings.slack_bot_token, settings.slack_client_secret)
    if settings.slack_bot_token is None:
        sentence = "Slack is set up for many workspaces; each brings its own token"
        return [doctor.ok("Slack", sentence)]
    token = settings.slack_bot_token.get_secret_value()

    async def slack() -> Sequence[Result]:
        async with AsyncExitStack() as stack:
            clients = SlackClients(settings.slack_api_url)
            stack.push_async_callback(clients.aclose)
            return [await _slack(clients, token)]

    return await doctor.examine([Check("Slack", slack)])


async def _slack(clients: SlackClients, token: str) -> Result:
    try:
        answer = await clients.call(token, "auth_test")
    except SlackError as error:
        return _slack_trouble(error)
    return doctor.ok("Slack", f"The bot token works in the workspace {answer.get('team')}")


def _slack_trouble(error: SlackError) -> Result:
    if isinstance(error, TokenGoneError):
        return doctor.fail(
            "Slack",
            f"Slack refuses the bot token ({error.code})",
            "Copy the Bot User OAuth Token again into SLACK_BOT_TOKEN.",
        )
    if isinstance(error, SlackUnavailableError):
        return doctor.fail(
            "Slack",
            f"Slack cannot be reached ({error.code})",
            "Check this machine's way to the internet, and SLACK_API_URL.",
        )
    sentence = f"Slack does not answer as it should ({error.code})"
    return doctor.fail("Slack", sentence, "Try again later.")


def _setting(error: ConfigurationError) -> Result:
    return doctor.fail("settings", str(error), "Set it and run `xtool doctor` again.")
