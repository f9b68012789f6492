"""The engine of `sync` over stand-ins in memory and a real Valkey."""
