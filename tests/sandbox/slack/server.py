"""The stand-in's HTTP side: `/api/{method}`, response URLs, uploads, the consent page."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.sandbox.slack import api_chat, api_people, api_views
from tests.sandbox.slack.core import Call, Core, Install
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.faults import Fault, FaultKind
from tests.sandbox.slack.oauth import OAuth
from tests.sandbox.slack.workspace import Json

METHODS = {**api_chat.METHODS, **api_views.METHODS, **api_people.METHODS}
JSON_ARGUMENTS = {"blocks", "view", "metadata", "files", "attachments"}
SECRET_ARGUMENTS = {"token", "client_secret", "code", "refresh_token"}
GET_ONLY = {"users.info", "conversations.info", "chat.getPermalink", "auth.revoke"}


async def read_arguments(request: web.Request) -> Json:
    """Arguments as `slack_sdk` sends them: JSON body, form or query string, never guessed.

    Slack takes all three; strings in `blocks`, `view` and the like are parsed as JSON.
    """
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        body = await request.text()
        try:
            args |= json.loads(body or "{}")
        except (ValueError, TypeError) as error:
            raise ApiError("invalid_json") from error
    elif request.method == "POST":
        args |= {k: v for k, v in (await request.post()).items() if isinstance(v, str)}
    return {key: _parsed(key, value) for key, value in args.items()}


def _parsed(key: str, value: Any) -> Any:
    if key not in JSON_ARGUMENTS or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ApiError("invalid_arguments", [f"{key} is not JSON"]) from error


def bearer(request: web.Request, args: Json) -> str | None:
    """The token from the header, or from the arguments as Slack also allows."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token
    return str(args["token"]) if args.get("token") else None


def check_scope(install: Install, needed: str) -> None:
    """`missing_scope`, with what is needed and what there is."""
    if needed and install.scopes is not None and needed not in install.scopes:
        provided = ",".join(sorted(install.scopes))
        raise ApiError("missing_scope", needed=needed, provided=provided)


class Server:
    """Routes of the stand-in over one `Core`."""

    def __init__(self, core: Core, oauth: OAuth) -> None:
        self.core = core
        self.oauth = oauth
        self.app = web.Application(client_max_size=4 * 1024 * 1024)
        self.app.router.add_route("*", "/api/{method}", self._api)
        self.app.router.add_post("/response/{path:.+}", self._response_url)
        self.app.router.add_post("/upload/{file}/{secret}", self._upload)
        self.app.router.add_get("/files/{file}", self._download)
        self.app.router.add_get("/oauth/v2/authorize", self._authorize)

    async def _api(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        call = Call(method, {})
        fault = self.core.faults.take(method, (await request.read()).decode("utf-8", "replace"))
        try:
            early = await self._before(request, call, fault)
            if early is not None:
                return early
            answer = await self._answer(request, call)
        except ApiError as error:
            answer = error.body()
        call.answer = {key: value for key, value in answer.items() if key != "access_token"}
        self._record(call)
        if fault is not None and fault.kind is FaultKind.DROP_AFTER:
            return drop(request)
        return self._reply(call, answer, request)

    async def _before(
        self, request: web.Request, call: Call, fault: Fault | None
    ) -> web.StreamResponse | None:
        if fault is None:
            return None
        call.fault = fault.kind.value
        if fault.kind is FaultKind.ERROR:
            raise ApiError(fault.code)
        if fault.kind in {FaultKind.SLOW, FaultKind.HOLD}:
            await wait_out(fault)
        return self._broken(request, call, fault)

    def _broken(self, request: web.Request, call: Call, fault: Fault) -> web.StreamResponse | None:
        response: web.StreamResponse | None = None
        if fault.kind is FaultKind.DROP_BEFORE:
            call.status, response = 0, drop(request)
        elif fault.kind is FaultKind.RATE_LIMITED:
            call.status, response = 429, rate_limited(fault.retry_after)
        elif fault.kind is FaultKind.SERVER_ERROR:
            call.status = 500
            response = web.Response(status=500, text="<html>Oops</html>", content_type="text/html")
        if response is not None:
            self._record(call)
        return response

    async def _answer(self, request: web.Request, call: Call) -> Json:
        args = await read_arguments(request)
        call.args = {k: v for k, v in args.items() if k not in SECRET_ARGUMENTS}
        if call.method == "oauth.v2.access":
            authorization = request.headers.get("Authorization", "")
            return {"ok": True, **self.oauth.access(args, authorization)}
        install = self.core.install_of(bearer(request, args))
        if call.method not in METHODS:
            raise ApiError("unknown_method", req_method=call.method)
        if request.method == "GET" and call.method not in GET_ONLY | {"auth.test"}:
            raise ApiError("http_get_not_allowed")  # stricter than Slack: bodies belong in POST
        needed, handler = METHODS[call.method]
        check_scope(install, needed)
        call.warnings = warnings_of(call)
        return {"ok": True, **handler(self.core, install, call.args)}

    def _record(self, call: Call) -> None:
        self.core.calls.append(call)
        self.core.changes.notify()

    def _reply(self, call: Call, answer: Json, request: web.Request) -> web.Response:
        if call.answer.get("error") == "ratelimited":
            call.status = 429
            return rate_limited(int(call.answer.get("retry_after", 1)))
        headers = {}
        token = bearer(request, {})
        install = self.core.installs.get(token or "")
        if install is not None and install.scopes is not None:
            headers["x-oauth-scopes"] = ",".join(sorted(install.scopes))
        body = dict(answer)
        if call.warnings:
            body["response_metadata"] = {"warnings": call.warnings}
        return web.json_response(body, headers=headers)

    async def _response_url(self, request: web.Request) -> web.StreamResponse:
        fault = self.core.faults.take("response_url")
        body = await request.json()
        call = Call("response_url", body, fault=fault.kind.value if fault else "")
        early = await self._before(request, call, fault)
        if early is not None:
            return early
        call.status, text = api_chat.respond(self.core, request.match_info["path"], body)
        call.answer = {"ok": call.status == 200, "error": text}
        self._record(call)
        if fault is not None and fault.kind is FaultKind.DROP_AFTER:
            return drop(request)
        return web.Response(status=call.status, text=text)

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        fault = self.core.faults.take("upload")
        call = Call("upload", {"file": request.match_info["file"]})
        early = await self._before(request, call, fault)
        if early is not None:
            return early
        file = self.core.workspace.files.get(request.match_info["file"])
        content = await request.read()
        if file is None or file.secret != request.match_info["secret"]:
            return web.Response(status=404, text="not found")
        if len(content) != file.length:
            return web.Response(status=400, text="length does not match")
        file.content = content
        self._record(call)
        return web.Response(text=f"OK - {len(content)}")

    async def _download(self, request: web.Request) -> web.Response:
        file = self.core.workspace.files.get(request.match_info["file"])
        if file is None or not file.shared:
            raise web.HTTPNotFound
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        kind = "application/octet-stream"
        return web.Response(body=file.content, content_type=kind, headers=headers)

    async def _authorize(self, request: web.Request) -> web.Response:
        try:
            page = self.oauth.consent_page(dict(request.query))
        except ApiError as error:
            return web.Response(status=400, text=error.code)
        return web.Response(text=page, content_type="text/html")


def warnings_of(call: Call) -> list[str]:
    """What Slack says about a message without `text`: screen readers have nothing to read."""
    content = call.method in {"chat.postMessage", "chat.update", "chat.postEphemeral"}
    return ["missing_text_in_message"] if content and not call.args.get("text") else []


async def wait_out(fault: Fault) -> None:
    """Be slow, or wait until the test lets the call go on."""
    fault.arrived.set()
    if fault.kind is FaultKind.SLOW:
        await asyncio.sleep(fault.seconds)
    else:
        await fault.released.wait()


def drop(request: web.Request) -> web.Response:
    """Reset the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def rate_limited(retry_after: int) -> web.Response:
    """429 as Slack sends it."""
    headers = {"Retry-After": str(retry_after)}
    body = {"ok": False, "error": "ratelimited"}
    return web.json_response(body, status=429, headers=headers)
