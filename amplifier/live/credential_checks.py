"""Ends streams whose token has expired or whose application has changed. `web/authentication.py` checks credentials."""

import asyncio
from collections.abc import Collection

from amplifier import clock
from amplifier.live.frames import frame
from amplifier.live.subscriber import Subscriber
from amplifier.queries.registry import Queries

_PAUSE = 1.0  # seconds between two checks of the tokens


class CredentialChecks:
    """Checks the credentials of the open streams, a collection that the hub changes."""

    def __init__(self, queries: Queries, streams: Collection[Subscriber]) -> None:
        self._queries = queries
        self._streams = streams
        self._versions: dict[str, object] = {}  # of the applications through which streams were opened

    async def check_applications(self) -> None:
        """Ends streams whose application changed while its notification was lost. Raises Unavailable."""
        app_ids = list({subscriber.app_id for subscriber in self._streams})
        rows = await self._queries.applications.list_versions(app_ids=app_ids) if app_ids else []
        versions = dict.fromkeys(app_ids) | {row["app_id"]: row["updated_at"] for row in rows}
        for app_id, version in versions.items():
            if self._versions.get(app_id, version) != version:
                self.restart(app_id)
        self._versions = versions

    def restart(self, app_id: str) -> None:
        """Ends the streams of an application: a client that reconnects must present valid credentials."""
        self._versions.pop(app_id, None)
        for subscriber in self._streams:
            if subscriber.app_id == app_id:
                subscriber.end(reconnect=True)

    async def keep_checking_tokens(self) -> None:
        """Ends streams whose token has expired, and requests a keep-alive for quiet streams. Never returns."""
        while True:
            await asyncio.sleep(_PAUSE)
            now = clock.now()
            for subscriber in self._streams:
                if subscriber.expires_at <= now:
                    subscriber.end(frame("token.expired"))
                else:
                    subscriber.check_keepalive()
