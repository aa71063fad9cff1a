"""The client: sessions by key and in lists, and the search over all of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from amplifier_client import _protocol as protocol
from amplifier_client import models

from .connection import AsyncConnection
from .session import AsyncSession


class AsyncAmplifier(AsyncConnection):
    """A client of the service. It keeps connections open: make one, and use it for everything.

    What is not given comes from AMPLIFIER_URL, AMPLIFIER_API_KEY, and AMPLIFIER_TOKEN or AMPLIFIER_USER_ID. `token` may
    be a function that returns a fresh one. `user` acts for a user without a token, which needs an application with the
    permission `act_as`. A request takes at most `timeout` seconds. It is repeated up to `retries` times if the
    connection breaks or the service is busy; a change that is repeated is made once.
    """

    def session(
        self,
        key: str | None = None,
        *,
        id: str | None = None,
        config_id: str | None = None,
        title: str | None = None,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> "AsyncSession":
        """Returns a session, without a request: the one with this id, or the caller's own with this key, which the
        first use creates if it is not there. Without either, the first use creates one.

        The other arguments are for a session that is created; one that is there stays as it is.
        """
        wanted = protocol.present({"config_id": config_id, "title": title, "tags": tags, "metadata": metadata})
        return AsyncSession(self, id, key, wanted)

    async def find(self, key: str) -> "AsyncSession | None":
        """Returns the caller's session with this key, or None."""
        session_id = await self.known_id(key)
        return None if session_id is None else AsyncSession(self, session_id, key, {})

    async def sessions(
        self, *, tags: Mapping[str, str] | None = None, include: Sequence[str] = (), **filters: Any
    ) -> AsyncIterator[models.SessionSummary]:
        """Yields the caller's sessions, the last changed first, page by page.

        `filters` are parameters of `GET /sessions`, such as `q`, `status`, `participant`, `sort` and `created_after`;
        `include` adds `metadata`, `participants`, `last_message` or `state` to each.
        """
        values = {"limit": 100, **filters, "tag": tags, "include": include or None}
        while True:
            page = await self.request("GET", "/sessions", models.SessionList, params=values)
            for row in page.sessions:
                yield row
            if page.next is None:
                return
            values["cursor"] = page.next

    async def search(self, q: str, *, tags: Mapping[str, str] | None = None, **filters: Any) -> models.SearchResults:
        """Returns the best hits in all sessions that the caller may read.

        `filters` are parameters of `GET /search`, such as `role`, `author`, `created_after`, `sort`, `limit`, `context`
        and `cursor`, the `next` of the page before.
        """
        return await self.request("GET", "/search", models.SearchResults, params={"q": q, "tag": tags, **filters})

    async def create_config(self, name: str, config_data: Mapping[str, Any], **more: Any) -> models.Config:
        """Creates a config, which says what agent answers in a session."""
        body = {"name": name, "config_data": config_data, **more}
        return await self.request("POST", "/configs", models.Config, body=body)
