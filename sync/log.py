"""Logs: one JSON object per line, or coloured lines on a terminal; never a secret.

structlog and the standard library's loggers (those of Bolt, aiohttp, docket …) end in one handler.
What leaves it has passed three guards: fields with a telling name are emptied, then the rendered
line, tracebacks included, is searched for the registered secrets of this process and for what
looks like a secret of anybody. Tracebacks are plain: never with local variables.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, TextIO, override

import structlog
from pydantic import SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

MASK: Final = "[secret]"
LONGEST_VALUE: Final = 8000  # characters of one field; hostile input must not fill the disk
SHORTEST_SECRET: Final = 6  # characters; replacing shorter ones would only garble the log

# Field names that never hold anything but a secret.
_TELLING = re.compile(
    r"(?i)(^|[_-])(token|secret|password|authorization|api_?key|apikey|cookie|signature)s?$"
)

# What looks like a secret, and what is left of it.
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # Slack: bot, user, app, configuration and refresh tokens
    (re.compile(r"\b(?:xox[a-z](?:\.xox[a-z])?|xapp)-[\w-]+"), MASK),
    # Slack: addresses that let whoever has them post for half an hour, or for ever
    (re.compile(r"(hooks\.slack(?:-gov)?\.com/)[\w/-]+"), rf"\1{MASK}"),
    # sevDesk: 32 hexadecimal digits
    (re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{32}(?![0-9A-Za-z])"), MASK),
    # HTTP credentials, with the header's name or without
    (
        re.compile(
            r"(?i)(authorization\\?[\"']?(?:\s*[:=]|,)\s*(?:b?\\?[\"'])?)"
            r"(?:(?:basic|bearer)\s+)?[\w.+/=~:-]{6,}"
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(?i)\b(basic|bearer)\s+[\w.+/=~-]{8,}"), rf"\1 {MASK}"),
    # credentials and one-time codes in URLs
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@\"']*@"), rf"\1{MASK}@"),
    (
        re.compile(r"(?i)([?&](?:token|api_?key|code|state|secret|password)=)[^&\s\"']+"),
        rf"\1{MASK}",
    ),
)

# Loggers that say more than they may, and the level below which they are not heard.
_LEVELS: Final = {
    "slack_sdk": logging.INFO,  # bodies of requests at DEBUG
    "slack_bolt": logging.INFO,  # bodies of requests at DEBUG
    "httpx": logging.WARNING,  # a line for every request
    "httpcore": logging.WARNING,
}
# Bolt logs the whole body of a request with a wrong signature, the API token that was typed into
# a modal included (measured with slack-bolt 1.30, at INFO).
_BODIES: Final = {"slack_bolt.RequestVerification": "A request with a wrong signature was refused"}

_known: set[str] = set()


def register_secrets(*values: str | SecretStr | None) -> None:
    """From now on these never leave in a log line, whatever they look like.

    Of a comma-separated list each part is a secret, too.
    """
    for value in values:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value or ""
        for part in {plain, *(piece.strip() for piece in plain.split(","))}:
            if len(part) >= SHORTEST_SECRET:
                escaped = json.dumps(part, ensure_ascii=False)[1:-1]
                _known.update({part, escaped, repr(part)[1:-1]})


def redact(text: str) -> str:
    """The text without anything that is, or looks like, a secret."""
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _guarded(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Empty the fields with a telling name, search the others and cut the long ones."""
    return {name: _field(name, value) for name, value in event.items()}


def _field(name: str, value: Any) -> Any:
    if _TELLING.search(name):
        return MASK
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _field(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_field("", inner) for inner in value]
    text = value if isinstance(value, str) else repr(value)
    return redact(text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…")


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Searches the finished line, so that no way of getting text into it is forgotten."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _Handler(logging.StreamHandler[TextIO]):
    """Says that a line could not be written, never which: the library's own way shows it all."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        try:
            failure = type(sys.exception()).__name__
            sys.__stderr__.write(  # type: ignore[union-attr]
                f"a log line of {record.name} could not be written ({failure})\n"
            )
        except (OSError, ValueError, AttributeError):
            pass  # there is nowhere left to say it


def _loud_enough(record: logging.LogRecord) -> bool:
    package = record.name.partition(".")[0]
    return record.levelno >= _LEVELS.get(package, logging.NOTSET)


def _without_body(record: logging.LogRecord) -> bool:
    record.msg, record.args = _BODIES[record.name], ()
    return True


def configure_logging(
    *, level: int = logging.INFO, pretty: bool | None = None, stream: TextIO | None = None
) -> None:
    """Route all logs of this process through the guards; call it before anything logs.

    `pretty` is for people, the default on a terminal; else JSON. May be called again.
    """
    out = stream if stream is not None else sys.stderr
    shared = _shared_processors()
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = _Handler(out)
    handler.addFilter(_loud_enough)
    handler.setFormatter(_formatter(shared, pretty=out.isatty() if pretty is None else pretty))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _BODIES:
        logging.getLogger(name).addFilter(_without_body)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _formatter(shared: Iterable[Processor], *, pretty: bool) -> logging.Formatter:
    render: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if pretty:
        plain = structlog.dev.plain_traceback  # the default shows local variables
        render = structlog.dev.ConsoleRenderer(exception_formatter=plain)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    processors: list[Processor] = [
        remove_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        _guarded,
        render,
    ]
    return _Formatter(foreign_pre_chain=list(shared), processors=processors)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """What ends the process is logged as everything else is."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("xtool").critical("uncaught", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)
