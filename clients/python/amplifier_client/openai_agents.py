"""Sessions of the OpenAI Agents SDK in Amplifier.

    await Runner.run(agent, "Hi", session=AmplifierSession("user-42"))

Needs `pip install 'amplifier-client[openai-agents]'`.
"""

import contextlib
import uuid
from typing import Any, cast

from agents import TResponseInputItem
from agents.memory import SessionSettings
from agents.memory.session_settings import coerce_session_settings, resolve_session_limit

from ._async.client import AsyncAmplifier
from ._shared import shared
from .errors import TooLarge

_BATCH = 10_000  # items of one request
_KEYED = 1000  # of one with keys


class AmplifierSession:
    """The conversation with this id, which other processes and clients may use at the same time.

    `session_id` is the key of an Amplifier session of the caller. The first item creates it, with the given title, tags
    and metadata. Without `client` the settings come from the environment.
    """

    def __init__(
        self,
        session_id: str,
        *,
        client: AsyncAmplifier | None = None,
        session_settings: SessionSettings | dict[str, Any] | None = None,
        **new: Any,
    ) -> None:
        self.session_id = session_id
        self.session_settings = coerce_session_settings(session_settings or SessionSettings())
        self.amplifier = (client or shared()).session(session_id, **new)

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Returns the newest `limit` items in order; without a limit, all."""
        limit = resolve_session_limit(limit, self.session_settings)
        if (limit is not None and limit < 1) or await self.amplifier.known_id() is None:
            return []
        return cast(list[TResponseInputItem], await self.amplifier.plain(last=limit))

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Appends items: all or none of up to 10,000."""
        messages = cast(list[dict[str, Any]], items)
        for start in range(0, len(messages), _BATCH):
            await self._append(messages[start : start + _BATCH])

    async def _append(self, messages: list[dict[str, Any]]) -> None:
        """Appends messages once. Keys of theirs take the service less time than an `Idempotency-Key`."""
        if len(messages) <= _KEYED:
            with contextlib.suppress(TooLarge):
                await self.amplifier.append(messages, keys=[uuid.uuid4().hex for _ in messages])
                return
        await self.amplifier.append(messages)

    async def pop_item(self) -> TResponseInputItem | None:
        """Takes the newest item back and returns it. Of several callers at once, each gets another one."""
        if await self.amplifier.known_id() is None:
            return None
        taken = (await self.amplifier.retract(last=1)).retracted
        return cast(TResponseInputItem, taken[0].message) if taken else None

    async def clear_session(self) -> None:
        """Deletes the session with its items. The next item creates it anew."""
        await self.amplifier.delete()
