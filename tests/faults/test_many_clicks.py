"""Fifty clicks by five people within a second, and one of them replayed, over two web processes.

Every request is signed and goes to a real web process; the invoice fails again, so that each later
click finds it in a state from which it could be tried once more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sync.model import InvoiceState
from tests.faults.channel import posts, telling
from tests.faults.processes import Launcher
from tests.faults.web import Webs
from tests.sandbox.slack import payloads
from tests.sandbox.slack.outbound import Delivery
from tests.sandbox.slack.workspace import Json, User

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

CLICKS, SECONDS, WEBS, REPLAYS = 50, 1.0, 2, 10
PEOPLE = ("anna", "ben", "clara", "daria", "emil")


def employ(webs: Webs) -> None:
    """Five people who may retry, in one channel."""
    workspace, slack = webs.slack.workspace, webs.slack
    for number, name in enumerate(PEOPLE[3:]):
        one = User(f"U0MORE{number}", name, name.title(), slack.core.team_id)
        workspace.users[one.id] = one
        slack.channel("invoices").members.add(one.id)
    slack.out.answer_seconds = 30.0  # answers are counted here; ten processes share two cores


def click_of(webs: Webs, name: str) -> Json:
    """What Slack sends when a person presses the button that all of them see."""
    slack = webs.slack
    target = slack.find("invoice_retry", user=name)
    action = payloads.action_of(slack.core, target, None)
    return payloads.block_actions(slack.core, slack.place, slack.user(name), target, action)


async def all_click(webs: Webs) -> list[Delivery]:
    """One after the other, evenly over the time, at the web processes in turn."""
    clicks = [click_of(webs, PEOPLE[number % len(PEOPLE)]) for number in range(CLICKS)]

    async def one(number: int) -> Delivery:
        await asyncio.sleep(number * SECONDS / CLICKS)
        webs.turn_to(number % WEBS)
        return await webs.slack.out.interaction(clicks[number])

    return await asyncio.gather(*(one(number) for number in range(CLICKS)))


async def replay(webs: Webs) -> list[Delivery]:
    """The first click once more, byte for byte, at the web processes in turn."""
    first = webs.slack.out.replays[0]

    async def one(number: int) -> Delivery:
        webs.turn_to(number % WEBS)
        return await webs.slack.out.send(*first)

    return await asyncio.gather(*(one(number) for number in range(REPLAYS)))


def answers(webs: Webs) -> Counter[str]:
    """How many answers each person has got that nobody else sees."""
    return Counter({name: len(webs.slack.ephemerals(name)) for name in PEOPLE})


def arrived(given: list[Delivery]) -> bool:
    """Whether the app acknowledged all of them."""
    return {(one.status, one.error) for one in given} == {(200, "")}


async def test_fifty_clicks_of_five_people_and_replays_are_one_attempt(
    launcher: Launcher, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    """One attempt; every click and every replay is answered to who made it."""
    async with telling(tmp_path, launcher, webs=WEBS, provider="phoss-ap") as (world, webs, tenant):
        employ(webs)
        world.start()
        invoice = tenant.add(difficult=True)[0]
        await world.until(lambda: posts(webs, invoice.number) == 1, 30, "the failure is told")
        await world.until_quiet()
        before = world.access_point.submissions()
        webs.slack.out.replays.clear()

        assert arrived(await all_click(webs))
        each = CLICKS // len(PEOPLE)
        wanted = Counter(dict.fromkeys(PEOPLE, each))
        await world.until(lambda: answers(webs) == wanted, 40, f"{each} answers for each")
        await world.until_quiet()
        record = (await world.records(tenant))[invoice.id]
        assert (record.state, record.attempts) == (InvoiceState.FAILED, 2)

        assert arrived(await replay(webs))
        wanted[PEOPLE[0]] += REPLAYS
        await world.until(lambda: answers(webs) == wanted, 40, "each replay is answered")
        await world.until_quiet()
        record = (await world.records(tenant))[invoice.id]
        assert (record.state, record.attempts) == (InvoiceState.FAILED, 2)
        assert world.access_point.submissions() - before == 1
        assert posts(webs, invoice.number) == 1
        figure(f"{CLICKS} clicks and {REPLAYS} replays: 1 submission, {dict(answers(webs))}")
