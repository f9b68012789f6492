"""Faults to order: which request goes wrong, how, and how often."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum


class Drop(StrEnum):
    """When the connection is cut."""

    BEFORE = "before"  # nothing was done
    AFTER = "after"  # it was done, the answer is lost
    MID_BODY = "mid body"  # it was done, half of the answer arrives


@dataclass(slots=True)
class Fault:
    """What happens to the next `times` requests that match `method` and the regex `path`.

    `status` and `body` replace the answer; with `applied` the request is carried out all the
    same. `delay` is in seconds. The first `skip` matches are let through.
    """

    method: str = ".*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    status: int | None = None
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    applied: bool = False
    delay: float = 0.0
    drop: Drop | None = None
    hits: int = 0

    def matches(self, method: str, path: str) -> bool:
        """Whether the request is meant; counts those that are let through."""
        if self.times <= 0 or not re.fullmatch(self.method, method):
            return False
        if not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.hits += 1
        return True


HTML = b"<!DOCTYPE html>\n<html><head><title>503</title></head><body>Wartung</body></html>"


def outage(status: int = 503, times: int = 1, path: str = ".*") -> Fault:
    """A maintenance page."""
    return Fault(path=path, times=times, status=status, body=HTML, content_type="text/html")


def rate_limited(retry_after: str, times: int = 1, path: str = ".*") -> Fault:
    """A 429; `retry_after` is seconds or an HTTP date, empty for none."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return Fault(path=path, times=times, status=429, body=b"{}", headers=headers)
