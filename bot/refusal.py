"""How long Slack has refused an organisation's token, and when that means that the app is gone.

Pure. No answer of Slack proves an uninstall: `token_revoked` also comes when somebody makes a new
token, `account_inactive` was met in workspaces that were in use, and `invalid_auth` is answered to
an address that is not on the app's list. So nothing is erased; after a week nothing more is sent.

Why a week: the longest row of days on which nobody works is four, so whoever runs xTool and reads
the log had at least three days. Slack's own outages last hours, and are no refusals.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import AwareDatetime

from sync.model import Frozen

LASTS = timedelta(days=7)  # between the first refusal and the last
TIMES = 100  # refusals, of the 168 that a week has when it is asked every hour
APART = timedelta(minutes=30)  # refusals that follow sooner count as one

# What Slack answers of an app that was removed, of a token that was revoked, of a workspace that
# was deleted, and what we know ourselves where the app is not installed. Not `org_login_required`
# (a workspace that is being moved), and not `access_denied` (of one call).
REMOVED = frozenset(
    {
        "token_revoked",
        "account_inactive",
        "invalid_auth",
        "not_authed",
        "token_expired",
        "team_access_not_granted",
        "not_installed",
    }
)


class Refusal(Frozen):
    """Slack refuses the token, without any success in between."""

    since: AwareDatetime
    last: AwareDatetime
    times: int
    code: str  # Slack's, of the last one


def again(before: Refusal | None, code: str, now: datetime) -> Refusal:
    """It was refused once more.

    A clock that was put forward adds one refusal and no more; one that was put back begins the
    time anew.
    """
    if before is None:
        return Refusal(since=now, last=now, times=1, code=code)
    counts = not timedelta(0) <= now - before.last < APART
    return Refusal(
        since=min(before.since, now),
        last=now if counts else before.last,
        times=before.times + counts,
        code=code,
    )


def is_for_good(refusal: Refusal) -> bool:
    """Whether nobody can be told of anything any more, so that nothing more is sent."""
    return refusal.times >= TIMES and refusal.last - refusal.since >= LASTS
