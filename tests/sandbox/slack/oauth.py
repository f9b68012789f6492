"""Installing the app: the consent page, codes and `oauth.v2.access`."""

from __future__ import annotations

import html
import secrets
from base64 import b64decode
from dataclasses import dataclass
from urllib.parse import urlencode

from tests.sandbox.slack.core import Core, Install
from tests.sandbox.slack.errors import ApiError
from tests.sandbox.slack.workspace import Json


@dataclass
class Grant:
    """What a person agreed to; exchanged once for a token."""

    user: str
    team_id: str | None
    enterprise_id: str | None
    scopes: frozenset[str]
    redirect_uri: str
    used: bool = False


class OAuth:
    """One app's client id and secret, and the codes given out."""

    def __init__(self, core: Core, client_id: str, client_secret: str) -> None:
        self.core = core
        self.client_id = client_id
        self.redirect_url = ""  # the app's configured one; used where a request names none
        self._client_secret = client_secret
        self._grants: dict[str, Grant] = {}

    def consent_page(self, query: dict[str, str]) -> str:
        """The page on which a person allows the installation."""
        allow, cancel = self.allowed_url(query, "U0ADMIN"), self._back(query, error="access_denied")
        scopes = "".join(f"<li>{html.escape(s)}</li>" for s in query.get("scope", "").split(","))
        return (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Install xTool</title>"
            "<body style='font:16px system-ui;max-width:32rem;margin:4rem auto'>"
            f"<h1>xTool asks for access to Lindhof Elektrotechnik</h1><ul>{scopes}</ul>"
            f"<p><a href='{html.escape(cancel)}'>Cancel</a> "
            f"<a id=allow href='{html.escape(allow)}'>Allow</a></p>"
        )

    def allowed_url(
        self,
        query: dict[str, str],
        user: str,
        *,
        team_id: str | None = "",
        enterprise_id: str | None = None,
    ) -> str:
        """Where the browser goes after "Allow". `team_id=None` installs on the whole org."""
        if query.get("client_id") != self.client_id:
            raise ApiError("invalid_client_id")
        team = self.core.team_id if team_id == "" else team_id
        scopes = frozenset(s for s in query.get("scope", "").split(",") if s)
        code = secrets.token_hex(12)
        grant = Grant(user, team, enterprise_id, scopes, query.get("redirect_uri", ""))
        self._grants[code] = grant
        return self._back(query, code=code)

    def _back(self, query: dict[str, str], **extra: str) -> str:
        target = query.get("redirect_uri") or self.redirect_url
        joiner = "&" if "?" in target else "?"
        return target + joiner + urlencode({**extra, "state": query.get("state", "")})

    def access(self, form: Json, authorization: str) -> Json:
        """`oauth.v2.access`: a code, once, for a bot token."""
        client_id, _, secret = _basic(authorization).partition(":")
        if (client_id or form.get("client_id")) != self.client_id:
            raise ApiError("invalid_client_id")
        if (secret or form.get("client_secret")) != self._client_secret:
            raise ApiError("bad_client_secret")
        grant = self._grants.get(str(form.get("code", "")))
        if grant is None:
            raise ApiError("invalid_code")
        if grant.used:
            raise ApiError("code_already_used")
        if form.get("redirect_uri", "") != grant.redirect_uri:
            raise ApiError("bad_redirect_uri")
        grant.used = True
        return self._answer(grant)

    def _answer(self, grant: Grant) -> Json:
        core, token = self.core, f"xoxb-{secrets.token_hex(16)}"
        core.installs[token] = Install(
            token, grant.team_id, grant.enterprise_id, core.bot_user, core.bot_id, grant.user,
            grant.scopes or None,
        )  # fmt: skip
        team = core.workspace.teams.get(grant.team_id or "")
        enterprise = {"id": grant.enterprise_id, "name": "Lindhof Group"}
        return {
            "app_id": core.app_id,
            "authed_user": {"id": grant.user},
            "scope": ",".join(sorted(grant.scopes)),
            "token_type": "bot",
            "access_token": token,
            "bot_user_id": core.bot_user,
            "team": {"id": team.id, "name": team.name} if team else None,
            "enterprise": enterprise if grant.enterprise_id else None,
            "is_enterprise_install": grant.team_id is None,
        }


def _basic(header: str) -> str:
    scheme, _, value = header.partition(" ")
    return b64decode(value).decode() if scheme.lower() == "basic" else ""
