"""`auth.*`, `users.*`, `conversations.*`, `files.*`, `oauth.v2.access`, `apps.uninstall`."""

from __future__ import annotations

import json
import secrets
from typing import Any

from tests.sandbox.slack.api_chat import Method, new_message
from tests.sandbox.slack.core import Core, Install
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.workspace import Json, StoredFile


def auth_test(core: Core, install: Install, args: Json) -> Json:
    """`auth.test`."""
    team = core.workspace.teams[install.team_id or core.team_id]
    return {
        "url": f"https://{team.domain}.slack.com/",
        "team": team.name,
        "team_id": install.team_id or core.team_id,
        "enterprise_id": install.enterprise_id,
        "is_enterprise_install": install.team_id is None,
        "user": "xtool",
        "user_id": install.bot_user,
        "bot_id": install.bot_id,
    }


def auth_revoke(core: Core, install: Install, args: Json) -> Json:
    """`auth.revoke`."""
    if str(args.get("test", "")).lower() in {"1", "true"}:
        return {"revoked": False}
    install.error = "token_revoked"
    return {"revoked": True}


def apps_uninstall(core: Core, install: Install, args: Json) -> Json:
    """`apps.uninstall`: the token dies and the app is told by events."""
    if not args.get("client_id") or not args.get("client_secret"):
        raise ApiError("invalid_client_id")
    install.error = "account_inactive"
    core.uninstalled(install)
    return {}


def users_info(core: Core, install: Install, args: Json) -> Json:
    """`users.info`, with the locale where asked for."""
    locale = str(args.get("include_locale", "")).lower() in {"1", "true"}
    home = install.team_id or core.team_id
    user = core.user(args.get("user", ""))
    answer = user.profile(home_team=home, include_locale=locale)
    enterprise = core.workspace.teams[user.team_id].enterprise_id
    if enterprise:
        own = {"id": "W" + user.id[1:], "enterprise_id": enterprise, "teams": [user.team_id]}
        answer.setdefault("enterprise_user", own)
    return {"user": answer}


def conversations_info(core: Core, install: Install, args: Json) -> Json:
    """`conversations.info`."""
    channel = core.channel_for(install, args.get("channel", ""), posting=False)
    member = install.bot_user in channel.members
    return {"channel": channel.info() | {"is_member": member}}


def conversations_open(core: Core, install: Install, args: Json) -> Json:
    """`conversations.open` for one person."""
    user = core.user(str(args.get("users", "")))
    return {"channel": {"id": core.workspace.direct(user, install.bot_user).id}}


def get_upload_url(core: Core, install: Install, args: Json) -> Json:
    """`files.getUploadURLExternal`."""
    length = int(args.get("length") or 0)
    if not args.get("filename") or length < 1:
        raise ApiError("invalid_arguments")
    file = StoredFile(core.workspace.next_id("F"), args["filename"], length, secrets.token_hex(8))
    core.workspace.files[file.id] = file
    return {"file_id": file.id, "upload_url": f"{core.api_root}/upload/{file.id}/{file.secret}"}


def complete_upload(core: Core, install: Install, args: Json) -> Json:
    """`files.completeUploadExternal`: share into a channel, in a thread where asked."""
    listed = args.get("files") or []
    wanted: list[Json] = json.loads(listed) if isinstance(listed, str) else listed
    files = [_uploaded(core, item) for item in wanted]
    answer = [{"id": f.id, "name": f.name, "title": f.title, "size": f.length} for f in files]
    if args.get("channel_id"):
        _share(core, install, args, files, answer)
    return {"files": answer}


def _uploaded(core: Core, item: Json) -> StoredFile:
    file = core.workspace.files.get(item.get("id", ""))
    if file is None or not file.content:
        raise ApiError("file_not_found")
    file.title = item.get("title") or file.name
    return file


def _share(
    core: Core, install: Install, args: Json, files: list[StoredFile], shown: list[Any]
) -> None:
    channel = core.channel_for(install, args["channel_id"])
    thread = args.get("thread_ts")
    if thread and core.workspace.find(channel.id, thread) is None:
        raise ApiError("thread_not_found")
    text = args.get("initial_comment") or ""
    message = new_message(core, channel.id, install.bot_user, {"text": text, "thread_ts": thread})
    message.files = shown
    for file in files:
        file.shared = True
    core.workspace.add(message)


METHODS: dict[str, tuple[str, Method]] = {
    "auth.test": ("", auth_test),
    "auth.revoke": ("", auth_revoke),
    "apps.uninstall": ("", apps_uninstall),
    "users.info": ("users:read", users_info),
    "conversations.info": ("channels:read", conversations_info),
    "conversations.open": ("im:write", conversations_open),
    "files.getUploadURLExternal": ("files:write", get_upload_url),
    "files.completeUploadExternal": ("files:write", complete_upload),
}
