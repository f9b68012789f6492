"""The sandbox page's server: static files, the state as JSON and as a stream, acts.

Loopback only. It refuses requests for other host names and acts that another site's page could
send, because acts are not signed.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.sandbox.console_acts import perform
from tests.sandbox.console_state import Json, Parts, state
from tests.sandbox.slack import InputRefusedError

PAGE = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
LOOK_AGAIN = 0.3  # seconds; sevDesk's and the access point's stand-ins do not announce changes
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Console:
    """Serves the page for one set of stand-ins."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.url = ""
        self.app = web.Application(middlewares=[guard])
        self.app.router.add_get("/", self._index)
        self.app.router.add_get("/page/{name}", self._static)
        self.app.router.add_get("/sandbox/state", self._state)
        self.app.router.add_get("/sandbox/stream", self._stream)
        self.app.router.add_post("/sandbox/act", self._act)
        self.app.router.add_get("/sandbox/taken/{index}.xml", self._taken)
        self.app.router.add_get("/sandbox/invoice/{id}.xml", self._source)
        self.app.router.add_get("/sandbox/file/{id}", self._file)
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; returns the page's URL."""
        self._runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.url = f"http://{host}:{self._runner.addresses[0][1]}/"
        return self.url

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _index(self, request: web.Request) -> web.Response:
        return _static("index.html")

    async def _static(self, request: web.Request) -> web.Response:
        return _static(request.match_info["name"])

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._state_for(request))

    def _state_for(self, request: web.Request) -> Json:
        try:
            return state(self.parts, request.query.get("user", "admin"))
        except LookupError as error:
            raise web.HTTPNotFound(text=str(error)) from error

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-Sent Events: the whole state whenever it changed."""
        first = json.dumps(self._state_for(request))
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        shown = ""
        while request.transport is not None and not request.transport.is_closing():
            now = first if not shown else json.dumps(self._state_for(request))
            if now != shown:
                await response.write(f"data: {now}\n\n".encode())
                shown = now
            await self._next_look()
        return response

    async def _next_look(self) -> None:
        changes = self.parts.slack.core.changes
        seen = changes.version
        try:
            await changes.wait_for(lambda: changes.version != seen, LOOK_AGAIN)
        except TimeoutError:
            return
        await asyncio.sleep(0.03)  # one update for a burst of changes

    async def _act(self, request: web.Request) -> web.Response:
        try:
            answer = await perform(self.parts, await request.json())
        except InputRefusedError as error:
            return web.json_response({"ok": False, "fields": error.problems})
        except (LookupError, ValueError, TypeError) as error:
            return web.json_response({"ok": False, "error": str(error)}, status=409)
        return web.json_response(answer)

    async def _taken(self, request: web.Request) -> web.Response:
        point, index = self.parts.access_point, request.match_info["index"]
        if point is None or not index.isdigit() or int(index) >= len(point.taken):
            raise web.HTTPNotFound
        return _xml(point.taken[int(index)].xml)

    async def _source(self, request: web.Request) -> web.Response:
        account = self.parts.account
        invoice = account.invoices.get(request.match_info["id"]) if account else None
        if account is None or invoice is None:
            raise web.HTTPNotFound
        return _xml(account.xml(invoice).encode())

    async def _file(self, request: web.Request) -> web.Response:
        file = self.parts.slack.workspace.files.get(request.match_info["id"])
        if file is None or not file.shared:
            raise web.HTTPNotFound
        safe = "".join(c for c in file.name if c.isalnum() or c in "._- ") or "file"
        headers = {"Content-Disposition": f'attachment; filename="{safe}"'}
        return web.Response(
            body=file.content, content_type="application/octet-stream", headers=headers
        )


def _static(name: str) -> web.Response:
    path = PAGE / name
    if path.parent != PAGE or path.suffix not in TYPES or not path.is_file():
        raise web.HTTPNotFound
    return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8")


def _xml(content: bytes) -> web.Response:
    return web.Response(body=content, content_type="text/plain", charset="utf-8")


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Loopback names only, acts as JSON only, and a policy that allows nothing from outside."""
    host = request.host.rpartition(":")[0] or request.host
    if host not in {"127.0.0.1", "localhost", "[::1]"}:
        raise web.HTTPForbidden(text="open the sandbox by its loopback address")
    if request.method == "POST" and request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType
    response = await handler(request)
    if not response.prepared:
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
    return response
