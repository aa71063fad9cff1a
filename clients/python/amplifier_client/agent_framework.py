"""Histories of the Microsoft Agent Framework in Amplifier.

    Agent(client, context_providers=[AmplifierHistoryProvider()])

Needs `pip install 'amplifier-client[agent-framework]'`.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from agent_framework import HistoryProvider, Message
from agent_framework._sessions import filter_new_messages

from ._async.client import AsyncAmplifier
from ._async.session import AsyncSession
from ._shared import shared

_BATCH = 1000  # messages of one request
_TYPES = {"text_reasoning": "reasoning"}  # of the framework, and what the service reads
_OURS = {ours: theirs for theirs, ours in _TYPES.items()}


class AmplifierHistoryProvider(HistoryProvider):
    """Stores the messages of each `AgentSession` in the Amplifier session of the caller whose key is its id.

    `limit` is the number of the newest messages that an agent is given; by default, all. The other options are those of
    HistoryProvider. Without `client` the settings come from the environment.
    """

    def __init__(
        self,
        source_id: str = "amplifier",
        *,
        client: AsyncAmplifier | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(source_id, **options)
        self.amplifier, self.limit = client or shared(), limit

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[Message]:
        """Returns the newest `limit` messages in order. A run without a session has none."""
        return await self._newest(self.amplifier.session(session_id), self.limit) if session_id else []

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[Message],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Appends messages, all or none of up to 1,000, without those that the framework sends again."""
        if not session_id or not messages:
            return
        session = self.amplifier.session(session_id)
        new = filter_new_messages(await self._newest(session, len(messages)), messages)
        for start in range(0, len(new), _BATCH):
            batch = [_stored(message.to_dict()) for message in new[start : start + _BATCH]]
            await session.append(batch, keys=[uuid.uuid4().hex for _ in batch])

    async def _newest(self, session: AsyncSession, number: int | None) -> list[Message]:
        if number == 0 or await session.known_id() is None:
            return []
        return [Message.from_dict(_loaded(message)) for message in await session.plain(last=number)]


def _stored(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message as the service reads it: its parts in `content`."""
    rest = {name: value for name, value in message.items() if name not in ("type", "contents")}
    return {
        **rest,
        "content": [{**part, "type": _TYPES.get(part["type"], part["type"])} for part in message["contents"]],
    }


def _loaded(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a stored message as the framework writes it."""
    rest = {name: value for name, value in message.items() if name != "content"}
    return {
        **rest,
        "contents": [{**part, "type": _OURS.get(part["type"], part["type"])} for part in message["content"]],
    }
