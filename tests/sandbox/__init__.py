"""Stand-ins for the services that xTool talks to. Loopback only; never part of a release."""
