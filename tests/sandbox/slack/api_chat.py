"""`chat.*` and the sink of response URLs."""

from __future__ import annotations

from collections.abc import Callable

from tests.sandbox.slack.core import (
    RESPONSE_URL_SECONDS,
    RESPONSE_URL_USES,
    Core,
    Install,
    ResponseUrl,
)
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.validation import error_code, validate_message
from tests.sandbox.slack.workspace import Json, Message

TEXT_CUT = 40_000  # chat.postMessage cuts longer texts


def check_message(args: Json, *, update: bool = False) -> None:
    """Raise what Slack answers to content that it does not take."""
    problems = validate_message(args, update=update)
    if problems:
        raise ApiError(error_code(problems), [p.split(": ", 1)[1] for p in problems])


def with_ids(core: Core, blocks: list[Json] | None) -> list[Json]:
    """Blocks with the block ids and action ids that Slack makes up where the app gave none."""
    done = []
    for block in blocks or []:
        block = {**block, "block_id": block.get("block_id") or core.workspace.next_id("b")}  # noqa: PLW2901 - a copy of the app's block
        for key in ("accessory", "element"):
            if isinstance(block.get(key), dict):
                block[key] = _with_action_id(core, block[key])
        if block["type"] == "actions":
            block["elements"] = [_with_action_id(core, e) for e in block["elements"]]
        done.append(block)
    return done


def _with_action_id(core: Core, element: Json) -> Json:
    if element.get("type") == "image" or element.get("action_id"):
        return element
    return {**element, "action_id": core.workspace.next_id("a")}


def new_message(core: Core, channel: str, user: str, args: Json) -> Message:
    """A message with the content of `args`, not yet in the workspace."""
    return Message(
        channel=channel,
        ts=core.workspace.next_ts(),
        user=user,
        text=(args.get("text") or "")[:TEXT_CUT],
        blocks=with_ids(core, args.get("blocks")),
        thread_ts=args.get("thread_ts"),
        metadata=args.get("metadata"),
    )


def post_message(core: Core, install: Install, args: Json) -> Json:
    """`chat.postMessage`."""
    channel = core.channel_for(install, args.get("channel", ""))
    check_message(args)
    _check_thread(core, channel.id, args.get("thread_ts"))
    _check_pace(core, channel.id)
    message = core.workspace.add(new_message(core, channel.id, install.bot_user, args))
    answer = message.payload(install.bot_id, core.app_id)
    return {"channel": channel.id, "ts": message.ts, "message": answer}


def _check_thread(core: Core, channel: str, thread_ts: str | None) -> None:
    if thread_ts and core.workspace.find(channel, thread_ts) is None:
        raise ApiError("thread_not_found")


def _check_pace(core: Core, channel: str) -> None:
    last, now = core.last_post.get(channel), core.clock()
    if core.faults.one_message_a_second and last is not None and now - last < 1:
        raise ApiError("ratelimited", retry_after=1)
    core.last_post[channel] = now


def update(core: Core, install: Install, args: Json) -> Json:
    """`chat.update`: own, ordinary messages only; blocks that are not given stay."""
    message = _own_message(core, install, args, "cant_update_message")
    check_message(args, update=True)
    blocks = args.get("blocks")
    message.change(text=args.get("text"), blocks=None if blocks is None else with_ids(core, blocks))
    if args.get("metadata") is not None:
        message.metadata = args["metadata"]
    core.changes.notify()
    answer = message.payload(install.bot_id, core.app_id)
    return {"channel": message.channel, "ts": message.ts, "text": message.text, "message": answer}


def _own_message(core: Core, install: Install, args: Json, refusal: str) -> Message:
    channel = args.get("channel", "")
    if channel in core.workspace.users:  # documented: chat.update wants the D… id
        raise ApiError("channel_not_found")
    found = core.channel_for(install, channel, posting=False)
    if found.archived:
        raise ApiError("is_archived")
    message = core.workspace.find(found.id, args.get("ts", ""))
    if message is None or message.is_ephemeral:
        raise ApiError("message_not_found")
    if message.user != install.bot_user:
        raise ApiError(refusal)
    return message


def delete(core: Core, install: Install, args: Json) -> Json:
    """`chat.delete`."""
    message = _own_message(core, install, args, "cant_delete_message")
    message.deleted = True
    core.changes.notify()
    return {"channel": message.channel, "ts": message.ts}


def post_ephemeral(core: Core, install: Install, args: Json) -> Json:
    """`chat.postEphemeral`: both the app and the person must be in the channel."""
    channel = core.channel_for(install, args.get("channel", ""))
    user = core.user(args.get("user", ""))
    if user.id not in channel.members:
        raise ApiError("user_not_in_channel")
    check_message(args)
    message = new_message(core, channel.id, install.bot_user, args)
    message.visible_to = user.id
    core.workspace.add(message)
    return {"message_ts": message.ts}


def permalink(core: Core, install: Install, args: Json) -> Json:
    """`chat.getPermalink`."""
    channel = core.channel_for(install, args.get("channel", ""), posting=False)
    message = core.workspace.find(channel.id, args.get("message_ts", ""))
    if message is None:
        raise ApiError("message_not_found")
    domain = core.workspace.teams[channel.team_id].domain
    path = f"archives/{channel.id}/p{message.ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": f"https://{domain}.slack.com/{path}"}


def respond(core: Core, path: str, body: Json) -> tuple[int, str]:
    """What a response URL answers: status and body. Five uses within 30 minutes.

    The URL of a slash command has no message of its own, so `replace_original` posts a new one
    there, as in Slack (slackapi/bolt-python#1268).
    """
    right = core.response_urls.get(path)
    if right is None:
        return 404, "no_service"
    if core.clock() - right.issued > RESPONSE_URL_SECONDS:
        return 404, "expired_url"
    if right.uses >= RESPONSE_URL_USES:
        return 404, "used_url"
    right.uses += 1
    return _apply_response(core, right, body)


def _apply_response(core: Core, right: ResponseUrl, body: Json) -> tuple[int, str]:
    if right.message is not None and body.get("delete_original"):
        right.message.deleted = True
        core.changes.notify()
        return 200, "ok"
    problems = validate_message(body)
    if problems:
        return 400, error_code(problems)
    if right.message is not None and body.get("replace_original"):
        blocks = with_ids(core, body.get("blocks"))
        right.message.change(text=body.get("text", ""), blocks=blocks)
        core.changes.notify()
        return 200, "ok"
    answer_in_channel(core, right.user, right.channel, body)
    return 200, "ok"


def answer_in_channel(core: Core, user: str, channel: str, body: Json) -> Message:
    """Show the answer to an interaction: to the person alone unless it says `in_channel`."""
    message = new_message(core, channel, core.bot_user, body)
    if body.get("response_type") != "in_channel":
        message.visible_to = user
    return core.workspace.add(message)


type Method = Callable[[Core, Install, Json], Json]

METHODS: dict[str, tuple[str, Method]] = {
    "chat.postMessage": ("chat:write", post_message),
    "chat.update": ("chat:write", update),
    "chat.delete": ("chat:write", delete),
    "chat.postEphemeral": ("chat:write", post_ephemeral),
    "chat.getPermalink": ("", permalink),
}
