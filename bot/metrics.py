"""What the web process and the notifier count. No label comes from outside."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SLACK_REQUESTS = Counter(
    "xtool_slack_requests", "Requests from Slack by what was answered", ["status"]
)
SLACK_ACK = Histogram(
    "xtool_slack_ack_seconds",
    "Time until a request from Slack was acknowledged",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0),
)
SLACK_CALLS = Counter("xtool_slack_calls", "Calls of Slack's Web API", ["method", "result"])
ANSWERS = Counter("xtool_slack_answers", "Answers to people", ["action", "result"])
CARDS = Counter("xtool_slack_cards", "Messages created or updated", ["what"])
EVENTS_TOLD = Counter("xtool_events_told", "Events that reached the notifier's cards")
TASKS = Gauge("xtool_slack_tasks", "Work under way after an acknowledgement")
REFUSED = Gauge("xtool_slack_refused", "Organisations whose token Slack refuses")
PAUSED = Gauge("xtool_slack_paused", "Of these, the ones that are paused because it lasted")
