"""The Home tab: useful before and after connecting, and only for who may see it."""

from __future__ import annotations

from bot import support
from bot.authz import Verdict
from bot.blocks import kit
from bot.blocks.connection import disconnect_button
from bot.blocks.kit import Block
from bot.blocks.status import Status, main_buttons, status_blocks
from bot.texts import Texts
from sync.model import ConnectionState


def home(t: Texts, data: Status, *, manages: bool, tag: str, support_at: str = "") -> Block:
    """Status with buttons; before connecting, what the app does and how to begin."""
    connection = data.overview.connection
    help_ = kit.context(support.line(t, support_at))
    if connection is None or connection.state is ConnectionState.DISCONNECTED:
        return kit.home([*_before(t, manages=manages, tag=tag), help_])
    buttons = main_buttons(t, connection)
    if manages:
        buttons.append(kit.button(t.plain("button.settings"), "home_settings"))
        buttons.append(disconnect_button(t))
    blocks = [
        *status_blocks(t, data, connection),
        kit.actions(*buttons),
        kit.divider(),
        kit.section(t.md("intro.next", tag=tag)),
        help_,
    ]
    return kit.home(kit.fit(blocks, kit.MESSAGE_TEXT))


def _before(t: Texts, *, manages: bool, tag: str) -> list[Block]:
    blocks = [kit.header(t.plain("home.title")), kit.section(t.md("welcome.text", tag=tag))]
    if manages:
        button = kit.button(t.plain("button.connect"), "home_connect", style="primary")
        blocks.append(kit.actions(button))
    else:
        blocks.append(kit.section(t.md("home.ask_admin")))
    return blocks


def refused(t: Texts, verdict: Verdict) -> Block:
    """For guests and people of other companies."""
    return kit.home([kit.section(t.md(f"denied.{verdict.value}"))])
