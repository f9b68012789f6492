"""How the stand-in says no: the codes of Slack's Web API, in HTTP 200."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """Answered as `{"ok": false, "error": code, …}`; `details` are Slack's messages."""

    def __init__(self, code: str, details: list[str] | None = None, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.details = details or []
        self.extra = extra

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        answer: dict[str, Any] = {"ok": False, "error": self.code, **self.extra}
        if self.details:
            answer["errors"] = self.details
            answer["response_metadata"] = {"messages": [f"[ERROR] {d}" for d in self.details]}
        return answer
