from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest
import structlog
from pydantic import SecretStr
from slack_bolt.middleware.request_verification.async_request_verification import (
    AsyncRequestVerification,
)
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse

from sync import log
from sync.log import configure_logging, redact, register_secrets

# Each is made up; each has the shape of the real thing.
CANARIES = [
    "xoxb-11111111111-2222222222222-aBcDeFgHiJkLmNoPqRsTuVwX",
    "xoxe.xoxp-1-Mi0yLTEyMzQ1Njc4OTAxMi0xMjM0NTY3ODkwMTIt",
    "xapp-1-A0111111111-1111111111111-0123abcd",
    "0123456789abcdef0123456789ABCDEF",
    "Basic a2V5X2NhbmFyeTpzZWNyZXRfY2FuYXJ5",
    "Bearer eyJhbGciOi.JIUzI1NiIsInR5.cCI6IkpXVCJ9",
]


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Undo what `configure_logging` changes for the whole process."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook, set(log._known))
    yield
    root.handlers[:], level, sys.excepthook, threading.excepthook, known = before
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in log._BODIES:
        logging.getLogger(name).removeFilter(log._without_body)
    log._known.clear()
    log._known.update(known)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(params=["json", "pretty"])
def output(request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream=stream, pretty=request.param == "pretty")
    return stream


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream=stream)
    return stream


def test_a_line_is_one_json_object(lines: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(org="T1")
    structlog.get_logger("sync.engine").info("synced", imported=3, name="Müller & Söhne")
    line = json.loads(lines.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "synced",
        "imported": 3,
        "name": "Müller & Söhne",
        "org": "T1",
        "level": "info",
        "logger": "sync.engine",
    }


def test_the_standard_library_ends_in_the_same_place(lines: io.StringIO) -> None:
    logging.getLogger("docket").warning("job %s took %d s", "poll", 3)
    line = json.loads(lines.getvalue())
    assert (line["event"], line["logger"], line["level"]) == (
        "job poll took 3 s",
        "docket",
        "warning",
    )


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("way", ["event", "field", "nested", "object", "argument", "error"])
def test_no_secret_leaves(output: io.StringIO, canary: str, way: str) -> None:
    logger = structlog.get_logger("test")
    match way:
        case "event":
            logger.info("sent " + canary)  # noqa: G003 - a careless line is what is tested
        case "field":
            logger.info("sent", header=canary)
        case "nested":
            logger.info("sent", request={"headers": [("X-Auth", canary)]})
        case "object":
            logger.info("sent", error=ValueError(canary))
        case "argument":
            logging.getLogger("lib").warning("sent %r", {"a": canary})
        case "error":
            try:
                int(canary + "?")
            except ValueError:
                logger.exception("failed")
    secret = canary.rpartition(" ")[2]
    assert output.getvalue()
    assert secret not in output.getvalue()


@pytest.mark.parametrize("secret", ['pa"ss\\wörd', "with space\n", "plain-but-long"])
def test_a_registered_secret_of_any_shape_never_leaves(output: io.StringIO, secret: str) -> None:
    register_secrets(SecretStr(secret))
    structlog.get_logger("test").info("got " + secret, a=secret, b=[secret], c={"k": (secret,)})
    written = output.getvalue()
    assert all(form not in written for form in (secret, json.dumps(secret)[1:-1], repr(secret)))
    assert written.count(log.MASK) == 4


def test_each_key_of_a_list_is_a_secret(output: io.StringIO) -> None:
    register_secrets("first-key-1111, second-key-2222")
    structlog.get_logger("test").info("got second-key-2222")
    assert "second-key" not in output.getvalue()


def test_a_short_value_is_not_registered() -> None:
    register_secrets("abc", "", None)
    assert redact("abcdef") == "abcdef"


@pytest.mark.parametrize("name", ["token", "api_key", "PEPPOL_API_SECRET", "Authorization"])
def test_a_field_with_a_telling_name_is_emptied(lines: io.StringIO, name: str) -> None:
    structlog.get_logger("test").info("x", **{name: "c4nary", "headers": {name: "c4nary"}})
    assert "c4nary" not in lines.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://user:pass@host:6379/0", "redis://[secret]@host:6379/0"),
        ("redis://:p%40ss@host", "redis://[secret]@host"),
        ("GET /slack/oauth_redirect?code=12.34&state=ab", None),
        ("https://hooks.slack.com/actions/T1/2/abc", "https://hooks.slack.com/[secret]"),
        ("{'Authorization': '0123secret'}", "{'Authorization': '[secret]'}"),
    ],
)
def test_urls_and_headers_lose_their_credentials(text: str, expected: str | None) -> None:
    assert redact(text) == (expected or "GET /slack/oauth_redirect?code=[secret]&state=[secret]")


@pytest.mark.parametrize(
    "text",
    [
        "sha256 " + "ab" * 32,
        "invoice 4b3f6f0e-0d4c-4a53-9a43-1c1b5a0a7e11",
        "https://my.sevdesk.de/api/v1/Invoice?status=200&limit=1000",
        "basic facts about bearer bonds",
        "0204:991-1234567890-06",
        "authorization failed",
        "authorization: none",
    ],
)
def test_harmless_text_stays(text: str) -> None:
    assert redact(text) == text


def test_a_traceback_has_no_local_variables(output: io.StringIO) -> None:
    local_canary = f"c4nary-in-{__name__}"
    try:
        int("boom")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("lib").exception("failed")
    assert output.getvalue().count("ValueError: invalid literal") == 2
    assert local_canary not in output.getvalue()


def test_a_long_field_is_cut(lines: io.StringIO) -> None:
    structlog.get_logger("test").info("x", body="y" * 1_000_000)
    assert len(lines.getvalue()) < 2 * log.LONGEST_VALUE


async def test_bolt_does_not_log_the_body_of_a_request_with_a_wrong_signature(
    lines: io.StringIO,
) -> None:
    async def believed() -> BoltResponse:
        raise AssertionError("the request was taken for Slack's")

    body = "payload=%7B%22value%22%3A%22c4nary%22%7D"
    middleware = AsyncRequestVerification(signing_secret="s3cret")
    headers: dict[str, str | Sequence[str]] = {
        "x-slack-signature": ["v0=bad"],
        "x-slack-request-timestamp": ["1"],
    }
    request = AsyncBoltRequest(body=body, headers=headers)
    response = await middleware.async_process(
        req=request, resp=BoltResponse(status=404), next=believed
    )
    assert response.status == 401
    assert "wrong signature" in lines.getvalue()
    assert "c4nary" not in lines.getvalue()


@pytest.mark.parametrize("name", ["slack_sdk.web", "slack_bolt.App", "httpx"])
def test_loggers_that_show_bodies_are_not_heard_at_debug(name: str) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, level=logging.DEBUG)
    logging.getLogger(name).debug("body: c4nary")
    assert stream.getvalue() == ""


def test_what_ends_a_thread_is_logged(lines: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError(CANARIES[0])

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert "uncaught" in lines.getvalue()
    assert CANARIES[0] not in lines.getvalue()


def test_what_ends_the_process_is_logged(lines: io.StringIO) -> None:
    error = ValueError(CANARIES[0])
    sys.excepthook(ValueError, error, None)
    assert json.loads(lines.getvalue())["level"] == "critical"
    assert CANARIES[0] not in lines.getvalue()


async def test_what_ends_a_task_is_logged(lines: io.StringIO) -> None:
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": f"lost {CANARIES[0]}"})
    assert json.loads(lines.getvalue())["logger"] == "asyncio"
    assert CANARIES[0] not in lines.getvalue()


def test_a_line_that_cannot_be_written_is_not_shown_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    stream = io.StringIO()
    configure_logging(stream=stream)
    stream.close()
    logging.getLogger("lib").warning("c4nary")
    assert "could not be written (ValueError)" in capsys.readouterr().err
