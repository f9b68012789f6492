"""Dying at a point: everything that a process does to the outside goes through `Process.step`.

A crash is a `BaseException`, so that no `except Exception` survives it, and after it every
further effect of the same process raises it again: a dead process does nothing more, whatever
its `finally` blocks try.

Only effects are points to die at. Dying before or after a *read* leaves the same outside as
dying after the write before it. Taking an invoice from the due set counts as a read: it only
hides the invoice from others for a while, and `World.after_a_crash` lets that time pass.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

from sync.store.redis import Clients
from sync.store.scripts import (
    CLAIM_DUE,
    CLAIM_OWNER,
    CONNECTION,
    FLAG,
    RELEASE,
    RENEW,
    TRANSITION,
)

SCRIPTS = {
    "transition": TRANSITION,
    "connection": CONNECTION,
    "release": RELEASE,
    "renew": RENEW,
    "flag": FLAG,
    "claim owner": CLAIM_OWNER,
}

READS = frozenset(
    {
        "HMGET",
        "HGET",
        "HGETALL",
        "GET",
        "SMEMBERS",
        "ZRANGE",
        "ZCARD",
        "EXISTS",
        "XRANGE",
        "XLEN",
        "INFO",
        "CONFIG GET",
        "COMMAND",
        "SCAN",
        "ZCOUNT",
    }
)


class Crash(BaseException):
    """The process is dead."""


class Process:
    """One life of a process. `die_at`: the point (counted from 1) at which it ends."""

    def __init__(self, die_at: int | None = None) -> None:
        self.die_at = die_at
        self.points: list[str] = []
        self.dead = False
        self.before: Callable[[str], Awaitable[None]] | None = None

    def reach(self, name: str) -> None:
        """A point to die at."""
        if self.dead:
            raise Crash("dead already")
        self.points.append(name)
        if self.die_at == len(self.points):
            self.dead = True
            raise Crash(f"at point {self.die_at}: {name}")

    async def step[T](self, name: str, effect: Callable[[], Awaitable[T]]) -> T:
        """An effect with a point before it and one after it."""
        self.reach(f"before {name}")
        if self.before is not None:
            await self.before(name)
        result = await effect()
        self.reach(f"after {name}")
        return result

    def alive(self) -> None:
        """For reads: a dead process does not read either."""
        if self.dead:
            raise Crash("dead already")


def crashing(clients: Clients, process: Process) -> Clients:
    """Clients on the same connections, whose every write is a step of `process`."""
    made = copy.copy(clients)
    made.redis, made.exact, made.blobs = (
        _wrapped(client, process) for client in (clients.redis, clients.exact, clients.blobs)
    )
    return made


def _wrapped(client: Any, process: Process) -> Any:
    execute, pipeline = client.execute_command, client.pipeline
    client = copy.copy(client)

    async def execute_command(*args: Any, **options: Any) -> Any:
        if str(args[0]).upper() in READS or args[1:2] == (CLAIM_DUE.digest,):
            process.alive()
            return await execute(*args, **options)
        return await process.step(f"store {_name(args)}", lambda: execute(*args, **options))

    def wrapped_pipeline(*args: Any, **options: Any) -> Any:
        pipe = pipeline(*args, **options)
        run = pipe.execute

        async def run_all(*a: Any, **o: Any) -> Any:
            names = [str(command[0][0]).upper() for command in pipe.command_stack]
            if all(name in READS for name in names):
                process.alive()
                return await run(*a, **o)
            return await process.step(f"store pipeline {' '.join(names)}", lambda: run(*a, **o))

        pipe.execute = run_all
        return pipe

    client.execute_command = execute_command
    client.pipeline = wrapped_pipeline
    return client


def _name(args: tuple[Any, ...]) -> str:
    if args[0] in ("EVALSHA", "EVAL"):
        return next((n for n, s in SCRIPTS.items() if args[1] in (s.digest, s.text)), "script")
    return " ".join(str(a)[:40] for a in args[:2])
