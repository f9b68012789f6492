"""The Lua scripts beside this file, loaded once and run by their digest.

All run on Redis 6.2 and later.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from sync.store.redis import StoreCluster, StoreRedis


@dataclass(frozen=True, slots=True)
class Script:
    """One script; `run` sends the digest first and the text only where it is not known."""

    text: str
    digest: str

    async def run(self, client: StoreRedis | StoreCluster, key: str, *args: str | int) -> Any:
        """Run it on `key`. Raises `StoreError`."""
        try:
            return await client.execute_command("EVALSHA", self.digest, 1, key, *args)
        except NoScriptError:
            # A server that was restarted has forgotten it; the script did not run.
            return await client.execute_command("EVAL", self.text, 1, key, *args)


def load(name: str) -> Script:
    """The script `name`.lua."""
    text = files("sync.store").joinpath("lua", f"{name}.lua").read_text("utf-8")
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


TRANSITION = load("transition")
CONNECTION = load("connection")
RELEASE = load("release")
RENEW = load("renew")
CLAIM_OWNER = load("claim_owner")
CLAIM_DUE = load("claim_due")
FLAG = load("flag")
OUTAGE = load("outage")
CLOCK = load("clock")
