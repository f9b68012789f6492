"""The one key of an organisation."""

from __future__ import annotations

import re

_ID = re.compile(r"[A-Z][A-Z0-9]{1,30}")


def org_key(enterprise_id: str | None, team_id: str | None, is_enterprise_install: bool) -> str:
    """The key under which everything of an organisation is kept.

    The Enterprise Grid organisation where the app is installed on it, else the workspace. Raises
    `ValueError` where the id that counts is missing or no Slack id: better no answer than an
    answer to the wrong organisation.
    """
    key = enterprise_id if is_enterprise_install else team_id
    if not key or not _ID.fullmatch(key):
        raise ValueError("the request names no organisation")
    return key
