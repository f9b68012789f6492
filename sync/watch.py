"""Looks at the store again and again: a worker's sign of life, and one line when work pauses.

An outage of the store fails every job at once, and docket says so for each of them and again every
second, with tracebacks. One line at its begin and one at its end say more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any

import structlog
from redis.exceptions import RedisError

from sync.errors import StoreError
from sync.outages import note_outage
from sync.ports import Ports

log = structlog.get_logger(__name__)

ALIVE_SECONDS = 15  # after its last sign of life a worker counts for this long
LOOK_SECONDS = 2.0
PATIENCE_SECONDS = 3.0  # an answer that takes longer is none
WORKERS = "xt:workers"  # sorted set: worker -> when it was alive (seconds)

_LOGGERS = (
    "docket.worker",
    "docket.strikelist",
    "docket.dependencies",
    "docket._redelivery",
    "docket._redis",
)
_OUTAGE = ("Redis is unavailable", "Redis error in", "Could not clear worker heartbeat")


class StoreWatch:
    """One worker's look at the store."""

    def __init__(self, ports: Ports, worker: str) -> None:
        """`worker` is its name among all."""
        self._clients = ports.clients
        self._ports = ports
        self._redis: Any = ports.clients.exact
        self._worker = worker
        self._away_since: float | None = None
        self._over: list[timedelta] = []  # outages that were not noted yet

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                self._tell(await self._look())
                await self._note()
            except Exception:  # without its sign of life the worker would count as dead for ever
                log.exception("the look at the store failed", worker=self._worker)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> str:
        """Write the sign of life; what is wrong, or nothing."""
        now = self._ports.now().timestamp()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._redis.zadd(WORKERS, {self._worker: now})
                await self._redis.zremrangebyscore(WORKERS, "-inf", now - 4 * ALIVE_SECONDS)
                await self._clients.look()
        except TimeoutError:
            return "store.unavailable"
        except StoreError as error:
            return error.reason_code
        except RedisError as error:  # what it answers is nobody's plan: one line says it, too
            return type(error).__name__
        return ""

    def _tell(self, trouble: str) -> None:
        """Log a change, once."""
        now = time.monotonic()
        if trouble and self._away_since is None:
            self._away_since = now
            log.error("store cannot be used, work pauses", error=trouble, worker=self._worker)
        elif not trouble and self._away_since is not None:
            seconds = round(now - self._away_since, 1)
            self._away_since = None
            self._over.append(timedelta(seconds=seconds))
            log.warning(
                "store can be used again, work goes on", seconds=seconds, worker=self._worker
            )

    async def _note(self) -> None:
        """Have people told of what is over; at the next look where the store is away again."""
        while self._over and self._away_since is None:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await note_outage(self._ports, self._over[0])
            except (StoreError, RedisError, TimeoutError):
                return
            del self._over[0]


async def workers_alive(ports: Ports) -> int:
    """How many workers showed signs of life lately. Raises `StoreError`."""
    redis: Any = ports.clients.redis
    since = ports.now().timestamp() - ALIVE_SECONDS
    return int(await redis.zcount(WORKERS, since, "+inf"))


def is_store_trouble(error: BaseException | None) -> bool:
    """Whether an exception is the store's, or a group of nothing else."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_store_trouble(one) for one in error.exceptions)
    return isinstance(error, (StoreError, RedisError))


def _worth_a_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not (is_store_trouble(error) or str(record.msg).startswith(_OUTAGE))


def quiet_docket() -> None:
    """Hear of docket what goes wrong, but neither every job nor an outage of the store."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)  # else two lines for each job
        logger.addFilter(_worth_a_line)  # the same function is kept once
