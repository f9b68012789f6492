"""`POST /peppol/webhook`: where the access point calls when a document changed."""

from __future__ import annotations

import structlog
from aiohttp import web

from sync.callbacks import Callbacks, Verdict
from sync.errors import StoreError
from sync.peppol.webhooks import SIGNATURE_HEADER

log = structlog.get_logger(__name__)

PATH = "/peppol/webhook"
_STATUS = {Verdict.TAKEN: 202, Verdict.REFUSED: 401, Verdict.NOT_OFFERED: 404}


class PeppolEndpoint:
    """The access point's door. Nothing of a request is logged or answered."""

    def __init__(self, callbacks: Callbacks) -> None:
        self._callbacks = callbacks

    def routes(self) -> list[web.RouteDef]:
        """One."""
        return [web.post(PATH, self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """202 for a call that was taken, whatever it names; the body is bound by the app."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return web.Response(status=413)
        try:
            verdict = await self._callbacks.take(body, request.headers.get(SIGNATURE_HEADER, ""))
        except StoreError as error:
            log.warning("call of the access point not taken", error=error.reason_code)
            return web.Response(status=503)  # a provider that can tries again
        return web.Response(status=_STATUS[verdict])
