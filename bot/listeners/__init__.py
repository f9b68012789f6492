"""What Slack calls: each module registers its listeners on the Bolt app.

A listener acknowledges first and does nothing that can raise after it: Bolt forgets the
acknowledgement if the listener fails within ten milliseconds of it (measured with slack-bolt
1.30). The work runs in `bot.deps.spawn`.
"""

from __future__ import annotations

from slack_bolt.async_app import AsyncApp

from bot.deps import Deps
from bot.listeners import actions, commands, events, views


def register(app: AsyncApp, deps: Deps) -> None:
    """Register all."""
    for module in (commands, actions, views, events):
        module.register(app, deps)
