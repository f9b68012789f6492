"""Calls of Slack's Web API: one session per process, errors classed once.

    SlackError
    ├── SlackUnavailableError   rate limited, 5xx, no connection, no answer: repeat later
    │   └── CardRefusedError    for this one message, and not for others: see `bot.trouble`
    ├── ChannelClosedError      archived, unknown, or the app is not in it: tell the owner
    ├── TokenGoneError          the app was removed or its token revoked: stop posting
    ├── MessageGoneError        the message can not be edited any more: post a new one
    └── SlackRefusedError       anything else: a mistake of ours or a scope that is missing

Nothing here repeats a call: by default the library sends `chat.postMessage` again when the
connection drops after Slack took it (measured with slack_sdk 3.47: two messages).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from bot.metrics import SLACK_CALLS

log = structlog.get_logger(__name__)

TIMEOUT = 10  # seconds for one call
LONGEST_WAIT = 300.0  # seconds; a longer Retry-After is not believed

_CHANNEL = {
    "channel_not_found",
    "is_archived",
    "not_in_channel",
    "channel_is_archived",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "restricted_action_non_threadable_channel",
    "user_not_in_channel",
    "cannot_reply_to_message",
    "messages_tab_disabled",
}
_TOKEN = {
    "token_revoked",
    "account_inactive",
    "invalid_auth",
    "not_authed",
    "token_expired",
    "team_access_not_granted",
    "org_login_required",
    "access_denied",
}
_MESSAGE = {
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "thread_not_found",
    "is_inactive",
}
_LATER = {
    "ratelimited",
    "rate_limited",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "message_limit_exceeded",
}


# "The server could not complete your operation(s)": documented for each method. Most are over at
# the next try; what remains is about what was sent, for example some block.
_OWN_ERRORS = {"internal_error", "fatal_error"}
_MESSAGES = {"chat_postMessage", "chat_update"}


class SlackError(Exception):
    """Base; `code` is Slack's error code or ours."""

    def __init__(self, method: str, code: str) -> None:
        super().__init__(f"{method}: {code}")
        self.method = method
        self.code = code


class SlackUnavailableError(SlackError):
    """Try again later, not before `retry_after` seconds."""

    def __init__(self, method: str, code: str, retry_after: float = 1.0) -> None:
        super().__init__(method, code)
        self.retry_after = min(max(retry_after, 0.0), LONGEST_WAIT)

    @property
    def may_be_the_message(self) -> bool:
        """Whether an error of Slack's own was answered to a message, which may be the cause.

        Not so for limits, for a workspace that is being moved, and where nobody answered.
        """
        own = self.code in _OWN_ERRORS or self.code.startswith("http_5")
        return own and self.method in _MESSAGES


class CardRefusedError(SlackUnavailableError):
    """One message that Slack does not take for now, while it may take others.

    `asked`: Slack was asked just now; else it is not time to try again yet. `lasts`: for so long
    that something else may take its place.
    """

    def __init__(
        self, method: str, code: str, retry_after: float, *, asked: bool, lasts: bool = False
    ) -> None:
        super().__init__(method, code, retry_after)
        self.asked = asked
        self.lasts = lasts


class ChannelClosedError(SlackError):
    """The app cannot post there."""


class TokenGoneError(SlackError):
    """The app may not act for this workspace any more."""


class MessageGoneError(SlackError):
    """The message cannot be edited."""


class SlackRefusedError(SlackError):
    """Slack does not take what was sent."""


def classify(method: str, error: SlackApiError) -> SlackError:
    """What an answer with `ok: false` or a status other than 200 means.

    Slack's own word always has `ok`. What has not is of something in between, a proxy or a portal:
    it says neither that Slack refused nor that nothing was done.
    """
    response: Any = error.response
    data = response.data if hasattr(response, "data") else response
    code = str(data.get("error") or "") if isinstance(data, Mapping) else ""
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0) or 200)
    if not (isinstance(data, Mapping) and "ok" in data):
        code = f"http_{status}" if status != 200 else "bad_answer"
        return SlackUnavailableError(method, code, _retry_after(response))
    if status == 429 or code in _LATER or status >= 500:
        return SlackUnavailableError(method, code or f"http_{status}", _retry_after(response))
    classes: tuple[tuple[set[str], type[SlackError]], ...] = (
        (_CHANNEL, ChannelClosedError),
        (_TOKEN, TokenGoneError),
        (_MESSAGE, MessageGoneError),
    )
    for codes, kind in classes:
        if code in codes:
            return kind(method, "is_archived" if code == "channel_is_archived" else code)
    return SlackRefusedError(method, code or f"http_{status}")


def _retry_after(response: Any) -> float:
    headers = getattr(response, "headers", None) or {}
    for name, value in dict(headers).items():
        if str(name).lower() == "retry-after":
            first = value[0] if isinstance(value, list) else value
            return float(first) if str(first).isdigit() else 1.0
    return 1.0


class SlackClients:
    """Clients on one session; `base_url` ends with a slash."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url if base_url.endswith("/") else base_url + "/"
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session of this process, made when first used in its event loop."""
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT)
            connector = aiohttp.TCPConnector(limit=64)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=connector)
        return self._session

    async def aclose(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def web(self, token: str | None = None) -> AsyncWebClient:
        """slack_sdk's client without any retry."""
        return AsyncWebClient(
            token=token,
            base_url=self.base_url,
            session=self.session,
            timeout=TIMEOUT,
            retry_handlers=[],
        )

    async def call(self, token: str, method: str, **arguments: Any) -> Mapping[str, Any]:
        """One call, once. Raises `SlackError`. `method` is slack_sdk's name, `chat_postMessage`."""
        call = getattr(self.web(token), method)
        try:
            response = await call(**arguments)
        except SlackApiError as error:
            raised = classify(method, error)
            SLACK_CALLS.labels(method, type(raised).__name__).inc()
            raise raised from None  # the answer can repeat what was sent
        except (aiohttp.ClientError, TimeoutError, SlackClientError, OSError) as error:
            SLACK_CALLS.labels(method, "SlackUnavailableError").inc()
            raise SlackUnavailableError(method, type(error).__name__) from None
        except (ValueError, AttributeError):  # no JSON, or no object: of a proxy, or slack_sdk's
            SLACK_CALLS.labels(method, "SlackUnavailableError").inc()
            raise SlackUnavailableError(method, "bad_answer") from None
        SLACK_CALLS.labels(method, "ok").inc()
        data = response.data if hasattr(response, "data") else response
        return cast(Mapping[str, Any], data)

    async def respond(self, url: str, body: Mapping[str, Any]) -> None:
        """Answer an interaction through its response URL. Raises `SlackError`."""
        try:
            # A redirect would take what was said to one person to another host.
            async with self.session.post(url, json=dict(body), allow_redirects=False) as answer:
                if answer.status == 200:
                    return
                if answer.status == 429 or answer.status >= 500:
                    raise SlackUnavailableError("response_url", f"http_{answer.status}")
                raise SlackRefusedError("response_url", f"http_{answer.status}")
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            raise SlackUnavailableError("response_url", type(error).__name__) from None
