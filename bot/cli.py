"""The command line, `xtool`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from bot.settings import BotSettings
from sync.documents.errors import RulesError
from sync.errors import ConfigurationError, StoreError
from sync.log import configure_logging
from sync.settings import Settings

EXIT_SETTINGS = 78  # EX_CONFIG of sysexits.h: a setting must be changed before the next start
EXIT_FAILED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the process's exit status."""
    parsed = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except ConfigurationError as error:
        print(f"xtool: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    except (StoreError, RulesError) as error:
        print(f"xtool: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xtool",
        description="Sends sevDesk e-invoices over the Peppol network, from Slack.",
        epilog="Settings are environment variables; the README lists them all.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _command(commands, "serve", "web and worker in one process", _serve)
    _command(commands, "web", "the web process alone", _web)
    _command(commands, "worker", "a worker process alone", _worker)
    sandbox = _command(
        commands, "sandbox", "the whole app against local stand-ins, with a page", _sandbox
    )
    sandbox.add_argument("--port", type=int, default=3000, help="of the page (default: 3000)")
    _command(commands, "doctor", "check every setting and connection", _doctor)
    manifest = _command(commands, "manifest", "the Slack app manifest, ready to paste", _manifest)
    which = manifest.add_mutually_exclusive_group(required=True)
    which.add_argument("--url", help="where Slack reaches xTool, https://…")
    which.add_argument(
        "--check", action="store_true", help="whether ./manifest.yml is what the code needs"
    )
    rules = _command(commands, "rules", "the official validation rules", _rules)
    rules.add_argument("action", choices=["fetch", "status"])
    return parser


type Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name


def _command(
    commands: Commands, name: str, text: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    command.set_defaults(run=run)
    return command


def _serve(_: argparse.Namespace) -> int:
    return _process(with_web=True, with_worker=True)


def _web(_: argparse.Namespace) -> int:
    return _process(with_web=True, with_worker=False)


def _worker(_: argparse.Namespace) -> int:
    return _process(with_web=False, with_worker=True)


def _process(*, with_web: bool, with_worker: bool) -> int:
    from bot.processes import run  # noqa: PLC0415 - other commands start without it

    # What was imported stays. Looking through it all takes the collector some 90 ms, for which
    # every click would wait.
    gc.collect()
    gc.freeze()
    configure_logging()
    settings, bot_settings = Settings.load(), BotSettings.load()
    _complete(run(settings, bot_settings, with_web=with_web, with_worker=with_worker))
    return 0


def _complete(work: Coroutine[object, object, None]) -> None:
    asyncio.run(work)


def _sandbox(parsed: argparse.Namespace) -> int:
    if find_spec("tests.sandbox") is None:
        print(
            "xtool: the sandbox is part of the source checkout: clone the repository and run "
            "`make sandbox` there",
            file=sys.stderr,
        )
        return EXIT_FAILED
    from tests.sandbox.run import main as sandbox  # noqa: PLC0415 - not part of the package

    sandbox(parsed.port)
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from bot.examine import examine  # noqa: PLC0415 - other commands start without it

    return asyncio.run(examine())


def _manifest(parsed: argparse.Namespace) -> int:
    from bot.manifest import EXAMPLE_URL, manifest_for, to_yaml  # noqa: PLC0415 - as above

    if parsed.check:
        return _check_manifest(manifest_for(EXAMPLE_URL))
    try:
        print(to_yaml(manifest_for(parsed.url)), end="")
    except ValueError as error:
        print(f"xtool: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    return 0


def _check_manifest(wanted: dict[str, Any]) -> int:
    """Compare what the file says; comments and layout are the file's own."""
    try:
        found = yaml.safe_load(Path("manifest.yml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        found = None
    if found == wanted:
        print("manifest.yml is what the code needs")
        return 0
    print("xtool: manifest.yml is not what the code needs; see bot/manifest.py", file=sys.stderr)
    return EXIT_FAILED


def _rules(parsed: argparse.Namespace) -> int:
    from bot.rules import fetch, status  # noqa: PLC0415 - other commands start without it

    directory = Path(Settings.load().data_dir) / "rules"
    return fetch(directory) if parsed.action == "fetch" else status(directory)


if __name__ == "__main__":
    sys.exit(main())
