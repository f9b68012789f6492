"""One message per card, whatever happens between Slack and the store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from bot.blocks import kit
from bot.blocks.kit import Card
from bot.installations import OneWorkspace
from bot.posting import Poster, Render
from bot.slack import SlackClients, SlackUnavailableError
from bot.store import BotStore, Posted
from bot.texts import Mrkdwn
from sync.errors import StoreError
from sync.store.redis import Clients
from tests.sandbox.slack import FakeSlack

ORG = "T0LINDHOF"
TOKEN = "xoxb-token-of-the-tests"
CHANNEL = "C0INVOICES"


@dataclass
class Kit:
    slack: FakeSlack
    store: BotStore
    poster: Poster


@pytest.fixture
async def given(clients: Clients) -> AsyncIterator[Kit]:
    async with FakeSlack("secret", TOKEN) as slack:
        web = SlackClients(slack.api_url)
        store = BotStore(clients)
        yield Kit(slack, store, Poster(web, OneWorkspace(web, TOKEN), store))
        await web.aclose()


def saying(text: str) -> Render:
    async def render() -> Card:
        return kit.card(text, [kit.section(Mrkdwn(text))])

    return render


async def test_a_card_is_created_then_edited(given: Kit) -> None:
    await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    await given.poster.put(ORG, "run:1", CHANNEL, saying("two"))
    (message,) = given.slack.messages(CHANNEL)
    assert message.text == "two"


async def test_the_same_content_is_not_sent_again(given: Kit) -> None:
    for _ in range(3):
        await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    assert given.slack.calls("chat.update") == []


async def test_ten_at_once_are_one_message(given: Kit) -> None:
    await asyncio.gather(
        *(given.poster.put(ORG, "run:1", CHANNEL, saying("one")) for _ in range(10))
    )
    assert len(given.slack.messages(CHANNEL)) == 1


async def test_the_newest_state_wins_whoever_writes_last(given: Kit) -> None:
    state = ["old"]

    async def render() -> Card:
        return kit.card(state[0], [kit.section(Mrkdwn(state[0]))])

    await given.poster.put(ORG, "run:1", CHANNEL, render)
    held = given.slack.faults.add("chat.update", "hold")
    state[0] = "middle"
    first = asyncio.create_task(given.poster.put(ORG, "run:1", CHANNEL, render))
    await held.arrived.wait()
    state[0] = "new"
    second = asyncio.create_task(given.poster.put(ORG, "run:1", CHANNEL, render))
    held.release()
    await asyncio.gather(first, second)
    assert given.slack.messages(CHANNEL)[0].text == "new"


async def test_the_intent_is_stored_before_the_message_leaves(given: Kit) -> None:
    held = given.slack.faults.add("chat.postMessage", "hold")
    posting = asyncio.create_task(given.poster.put(ORG, "run:1", CHANNEL, saying("one")))
    await held.arrived.wait()
    begun = await given.store.posted(ORG, "run:1")
    held.release()
    await posting
    assert begun is not None
    assert (begun.ts, bool(begun.intent)) == ("", True)


async def test_a_death_between_post_and_store_tells_again(given: Kit) -> None:
    save, calls = given.store.save_posted, []

    async def die(org: str, card: str, posted: Posted) -> None:
        calls.append(posted)
        if posted.ts:
            raise StoreError("killed here")
        await save(org, card, posted)

    given.store.save_posted = die  # type: ignore[method-assign]
    with pytest.raises(StoreError):
        await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    given.store.save_posted = save  # type: ignore[method-assign]
    await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    assert len(given.slack.messages(CHANNEL)) == 2
    await given.poster.put(ORG, "run:1", CHANNEL, saying("two"))
    assert given.slack.messages(CHANNEL)[-1].text == "two"
    assert len(given.slack.messages(CHANNEL)) == 2


async def test_a_line_that_loses_every_answer_makes_one_message_more_and_not_many(
    given: Kit,
) -> None:
    await given.poster.token(ORG)  # whose token it is, was asked before
    given.slack.faults.add("*", "drop_after", times=None)
    for _ in range(10):
        with pytest.raises(SlackUnavailableError):
            await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    given.slack.faults.clear()
    await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    assert len(given.slack.messages(CHANNEL)) == 2


async def test_without_create_nothing_new_is_posted(given: Kit) -> None:
    await given.poster.put(ORG, "run:1", CHANNEL, saying("one"), create=False)
    assert given.slack.messages(CHANNEL) == []


async def test_a_short_rate_limit_is_waited_for(given: Kit) -> None:
    given.slack.faults.add("chat.postMessage", "rate_limited", retry_after=0, times=2)
    await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))
    assert len(given.slack.messages(CHANNEL)) == 1


async def test_a_long_rate_limit_goes_to_whoever_called(given: Kit) -> None:
    given.slack.faults.add("chat.postMessage", "rate_limited", retry_after=60)
    with pytest.raises(SlackUnavailableError):
        await given.poster.put(ORG, "run:1", CHANNEL, saying("one"))


async def test_metadata_holds_nothing_but_an_opaque_id(given: Kit) -> None:
    await given.poster.put(ORG, "invoice:4711:1", CHANNEL, saying("one"))
    metadata = given.slack.messages(CHANNEL)[0].metadata
    assert metadata is not None
    assert list(metadata["event_payload"]) == ["intent"]
