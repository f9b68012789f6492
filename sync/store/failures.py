"""How the store fails: what redis-py raises, classed once.

StoreError
    store.unavailable   no connection, no answer in time, loading, failing over
    store.refused       the server lives but refuses writes: disk full, memory full, read-only
    store.stale         see `StaleRecordError`
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from redis.exceptions import (
    AskError,
    ClusterError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sync.errors import StoreError

_REFUSALS = ("MISCONF", "OOM", "READONLY", "NOREPLICAS")
_ABSENCES = (
    *("LOADING", "MASTERDOWN", "NOMASTERLINK", "UNBLOCKED"),
    "BUSY ",  # a script runs for too long; not BUSYGROUP, which is a mistake
    # What redis-py says of a cluster in the middle of a fail-over.
    *("Redis Cluster cannot", "All slots are not covered", "startup_nodes could not agree"),
    "Slot ",
)
# redis-py takes the server's code off the text of those that it has a class for.
_ABSENT = (
    *(RedisConnectionError, RedisTimeoutError, OSError),
    *(AskError, ClusterError, TryAgainError),  # CLUSTERDOWN and MASTERDOWN are a ClusterError
)


def classify(error: Exception) -> StoreError | None:
    """The `StoreError` that an error of redis-py means; None for a mistake in a command.

    The text of a connection error can hold the URL, so only the error's class is kept.
    """
    text = str(error)
    if isinstance(error, (ReadOnlyError, OutOfMemoryError)) or text.startswith(_REFUSALS):
        return StoreError(f"the store refuses writes: {text[:200]}", code="store.refused")
    if isinstance(error, NoScriptError):
        return None
    if isinstance(error, _ABSENT) or (
        isinstance(error, (ResponseError, RedisClusterException)) and text.startswith(_ABSENCES)
    ):
        return StoreError(f"the store does not answer: {type(error).__name__}")
    return None


@contextmanager
def store_errors() -> Generator[None]:
    """Raise what redis-py raises as `StoreError`; mistakes in a command stay what they are."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError) as error:
        mapped = classify(error)
        if mapped is None:
            raise
        raise mapped from None  # the cause's repr can hold the URL with its password
