"""Everything that is kept: Redis clients, scripts and repositories."""
