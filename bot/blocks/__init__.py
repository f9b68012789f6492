"""Cards: pure functions from data to Slack's blocks, one file per card."""
