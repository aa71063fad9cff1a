"""Delivers committed events and ephemeral notes to followers. The HTTP and WebSocket handlers are in `api` and `web`."""
