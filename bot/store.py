"""What `bot` keeps of an organisation, on the store that `sync` uses.

Every key is `xt:{<org>}:bot:<name>`: one cluster slot per organisation, and erased with it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import batched
from typing import Any

from pydantic import ValidationError

from bot.prefs import Prefs
from bot.refusal import Refusal
from bot.trouble import Trouble
from sync.errors import StoreError
from sync.model import Frozen
from sync.store.organisation import organisations
from sync.store.redis import Clients

AT_ONCE = 50  # questions to the store
CARD_SECONDS = 180 * 24 * 3600  # after half a year a card is not updated any more

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end"
_EXTEND = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] "
    "then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0"
)
# The place of a failure card: kept once given, else the next free one (see `place`).
_PLACE = """
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then return known end
local single = tonumber(redis.call('GET', KEYS[2]) or '0')
local place
if single < tonumber(ARGV[3]) then
  redis.call('INCR', KEYS[2])
  place = 'invoice:' .. ARGV[1]
else
  local n = redis.call('ZCARD', KEYS[3])
  redis.call('ZADD', KEYS[3], n, ARGV[1])
  place = 'group:' .. ARGV[2] .. ':' .. math.floor(n / tonumber(ARGV[4]))
end
redis.call('HSET', KEYS[1], ARGV[1], place)
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[5]) end
return place
"""
GROUP = 10  # failures that share a message


class Posted(Frozen):
    """Where a card is. Without `ts` a post was begun and its end is not known."""

    channel: str
    ts: str = ""
    digest: str = ""  # of its content, so that nothing is sent that is shown already
    intent: str = ""
    trouble: Trouble | None = None  # Slack does not take what is to be shown


class BotStore:
    """Preferences, cards and the notifier's place, per organisation."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        # redis-py types every command as "awaitable or not", so its types are of no help here.
        self._redis: Any = clients.redis
        self._exact: Any = clients.exact

    @staticmethod
    def key(org: str, name: str) -> str:
        """The key of `name`; the braces make the cluster's hash tag."""
        return f"xt:{{{org}}}:bot:{name}"

    # ---- preferences ------------------------------------------------------------------------

    async def prefs(self, org: str) -> Prefs:
        """The organisation's settings; the defaults before anyone chose."""
        raw = await self._redis.get(self.key(org, "prefs"))
        try:
            return Prefs.model_validate_json(raw) if raw else Prefs()
        except ValidationError as error:
            raise StoreError("the stored settings cannot be read") from error

    async def save_prefs(self, org: str, prefs: Prefs) -> None:
        """Replace them."""
        await self._exact.set(self.key(org, "prefs"), prefs.model_dump_json())

    async def change_prefs(self, org: str, **changes: object) -> Prefs:
        """Change some of them; last writer wins."""
        prefs = (await self.prefs(org)).model_copy(update=changes)
        await self.save_prefs(org, prefs)
        return prefs

    # ---- cards ------------------------------------------------------------------------------

    async def posted(self, org: str, card: str) -> Posted | None:
        """Where a card is, or None if it was never begun."""
        raw = await self._redis.get(self.key(org, f"card:{card}"))
        return Posted.model_validate_json(raw) if raw else None

    async def save_posted(self, org: str, card: str, posted: Posted) -> None:
        """Remember where a card is."""
        key = self.key(org, f"card:{card}")
        await self._exact.set(key, posted.model_dump_json(), ex=CARD_SECONDS)

    async def forget_posted(self, org: str, card: str) -> None:
        """The next time the card is a new message."""
        await self._exact.delete(self.key(org, f"card:{card}"))

    async def place(self, org: str, member: str, run: str, *, singles: int) -> str:
        """The card that shows `member` (`<invoice id>:<generation>`), given once for ever.

        The first `singles` of a run have a message of their own, the others share one for
        `GROUP` of them: a flood stays readable.
        """
        keys = [self.key(org, name) for name in ("places", f"singles:{run}", f"grouped:{run}")]
        place: str = await self._exact.eval(
            _PLACE, 3, *keys, member, run, singles, GROUP, CARD_SECONDS
        )
        return place

    async def placed(self, org: str, member: str) -> str:
        """The card that shows `member`, or empty."""
        return await self._redis.hget(self.key(org, "places"), member) or ""

    async def members(self, org: str, card: str) -> list[str]:
        """Who shares the card `group:<run>:<number>`, in order."""
        _, run, number = card.split(":")
        first = int(number) * GROUP
        members: list[str] = await self._redis.zrange(
            self.key(org, f"grouped:{run}"), first, first + GROUP - 1
        )
        return members

    # ---- the notifier's place ---------------------------------------------------------------

    async def cursor(self, org: str) -> str:
        """The last event that was told; empty: none."""
        return await self._redis.get(self.key(org, "cursor")) or ""

    async def save_cursor(self, org: str, event_id: str) -> None:
        """Everything up to here was told."""
        await self._exact.set(self.key(org, "cursor"), event_id)

    async def first_time(self, org: str, name: str, seconds: int) -> bool:
        """True for the first caller within `seconds`."""
        return bool(await self._exact.set(self.key(org, f"once:{name}"), "1", nx=True, ex=seconds))

    async def forget_once(self, org: str, name: str) -> None:
        """The next caller is the first again."""
        await self._exact.delete(self.key(org, f"once:{name}"))

    async def silence(self, org: str, seconds: int) -> None:
        """Post nothing for a while: Slack refuses the token."""
        await self._exact.set(self.key(org, "silent"), "1", ex=seconds)

    async def is_silent(self, org: str) -> bool:
        """Whether posting is stopped."""
        return bool(await self._redis.exists(self.key(org, "silent")))

    async def speak(self, org: str) -> None:
        """The token works, or the app was installed again."""
        await self._exact.delete(self.key(org, "silent"), self.key(org, "refusal"))

    async def refusal(self, org: str) -> Refusal | None:
        """Since when Slack has refused the token, if it does."""
        raw = await self._redis.get(self.key(org, "refusal"))
        return Refusal.model_validate_json(raw) if raw else None

    async def save_refusal(self, org: str, refusal: Refusal) -> None:
        """Remember it."""
        await self._exact.set(self.key(org, "refusal"), refusal.model_dump_json())

    async def refused(self) -> list[str]:
        """The connected organisations whose token Slack refuses.

        Looked up one by one: a list of them would keep the name of one that was erased.
        """
        found: list[str] = []
        for orgs in batched(sorted(await organisations(self._clients)), AT_ONCE, strict=False):
            keys = [self.key(org, "refusal") for org in orgs]
            there = await asyncio.gather(*(self._redis.exists(key) for key in keys))
            found += [org for org, is_there in zip(orgs, there, strict=True) if is_there]
        return found

    async def miss(self, org: str, since: datetime) -> None:
        """What happened from then on is not told one by one; the first time counts."""
        await self._exact.set(self.key(org, "missed"), since.isoformat(), nx=True)

    async def missed(self, org: str) -> datetime | None:
        """Since when it is not told one by one, if so."""
        since = await self._redis.get(self.key(org, "missed"))
        return datetime.fromisoformat(since) if since else None

    async def caught_up(self, org: str) -> None:
        """A summary was told."""
        await self._exact.delete(self.key(org, "missed"))

    # ---- the day ----------------------------------------------------------------------------

    async def count_day(self, org: str, states: Mapping[str, str]) -> None:
        """Remember the newest state of invoices for the daily summary."""
        if states:
            await self._exact.hset(self.key(org, "day"), mapping=dict(states))

    async def day(self, org: str) -> dict[str, str]:
        """Invoice id to newest state since the last summary."""
        found: dict[str, str] = await self._redis.hgetall(self.key(org, "day"))
        return found

    async def clear_day(self, org: str, told: Sequence[str]) -> None:
        """These were told."""
        if told:
            await self._exact.hdel(self.key(org, "day"), *told)

    async def erase(self, org: str) -> None:
        """Everything that `bot` keeps of the organisation."""
        found = [key async for key in self._redis.scan_iter(match=f"xt:{{{org}}}:bot:*", count=500)]
        for start in range(0, len(found), 500):
            await self._exact.delete(*found[start : start + 500])

    # ---- leases -----------------------------------------------------------------------------

    @asynccontextmanager
    async def lease(self, org: str, name: str, seconds: float) -> AsyncIterator[Lease | None]:
        """Hold `name` alone for `seconds`, or get None because somebody holds it."""
        key, token = self.key(org, f"lease:{name}"), secrets.token_hex(8)
        held = await self._exact.set(key, token, nx=True, px=int(seconds * 1000))
        if not held:
            yield None
            return
        try:
            yield Lease(self, key, token, seconds)
        finally:
            await self._exact.eval(_RELEASE, 1, key, token)

    @asynccontextmanager
    async def waited_lease(
        self, org: str, name: str, seconds: float, wait: float
    ) -> AsyncIterator[Lease | None]:
        """As `lease`, after waiting up to `wait` seconds for whoever holds it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while True:
            async with self.lease(org, name, seconds) as lease:
                if lease is not None or loop.time() > end:
                    yield lease
                    return
            await asyncio.sleep(0.05)

    async def extend(self, key: str, token: str, seconds: float) -> bool:
        """Hold a lease longer; False: it is lost."""
        return bool(await self._exact.eval(_EXTEND, 1, key, token, int(seconds * 1000)))


class Lease:
    """A lease that is held."""

    def __init__(self, store: BotStore, key: str, token: str, seconds: float) -> None:
        self._store, self._key, self._token, self._seconds = store, key, token, seconds

    async def extend(self) -> bool:
        """Hold it anew for its whole time; False: it is lost."""
        return await self._store.extend(self._key, self._token, self._seconds)
