"""Who somebody is: `users.info`, remembered for five minutes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from bot.authz import Person
from bot.slack import SlackClients, SlackUnavailableError

KEEP_SECONDS = 300.0
KEEP_PEOPLE = 10_000


class People:
    """The people of all organisations, as Slack describes them."""

    def __init__(
        self, slack: SlackClients, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._slack = slack
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], tuple[float, Person]] = OrderedDict()

    async def get(self, org: str, token: str, user: str) -> Person:
        """The person. Raises `SlackError` where Slack does not say: nobody is guessed."""
        key = (org, user)
        found = self._known.get(key)
        if found and self._monotonic() < found[0]:
            self._known.move_to_end(key)
            return found[1]
        answer = await self._slack.call(token, "users_info", user=user, include_locale=True)
        try:
            person = Person.parse(answer["user"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SlackUnavailableError("users_info", "bad_answer") from error
        self._known[key] = (self._monotonic() + KEEP_SECONDS, person)
        while len(self._known) > KEEP_PEOPLE:
            self._known.popitem(last=False)
        return person

    def forget(self, org: str) -> None:
        """The organisation removed the app."""
        for key in [key for key in self._known if key[0] == org]:
            del self._known[key]
