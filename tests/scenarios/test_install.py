"""Installing by OAuth into the whole running product, by a browser's steps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.sandbox.world import World, stand_ins

SECONDS = 20.0  # a limit, not a wait

# slack_sdk 3.47 still uses aiohttp's BasicAuth for oauth.v2.access.
pytestmark = pytest.mark.filterwarnings("ignore:BasicAuth is deprecated")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    given: dict[str, Any] = {
        "slack_bot_token": None,
        "slack_client_id": "111.222",
        "slack_client_secret": "client-secret-of-the-sandbox",
    }
    async with stand_ins(**given) as world, world.app():
        yield world


def install_url(world: World) -> str:
    return f"{world.address}/slack/install"


async def test_the_installer_is_greeted_with_a_connect_button(world: World) -> None:
    status, _ = await world.slack.install(install_url(world))
    assert status == 200
    (greeting,) = await world.slack.wait_for(lambda: world.slack.direct_messages("admin"), SECONDS)
    await world.slack.click(re.compile("connect"), user="admin", message=greeting)
    await world.slack.wait_for(lambda: world.slack.modal("admin").callback_id == "connect", SECONDS)


async def test_a_whole_org_can_install(world: World) -> None:
    status, _ = await world.slack.install(install_url(world), whole_org=True)
    assert status == 200
    world.slack.in_enterprise("E0GRID", whole_org=True)
    await world.slack.command("/sevdesk connect")
    await world.slack.wait_for(lambda: world.slack.modal("admin").callback_id == "connect", SECONDS)
