"""Delivers committed events and ephemeral notes to followers. The handlers of streams are in `api` and `web`."""
