"""Chat stores of LlamaIndex in Amplifier.

    ChatMemoryBuffer.from_defaults(chat_store=AmplifierChatStore(), chat_store_key="user-42")

Needs `pip install 'amplifier-client[llamaindex]'`.
"""

import json
import uuid
from typing import Any

from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.llms import ChatMessage
from llama_index.core.storage.chat_store.base import BaseChatStore

from . import models
from ._shared import shared_sync
from ._sync.client import Amplifier
from ._sync.session import Session

_BATCH = 1000  # messages of one request
_TAGS = {"llamaindex": "chat"}


class AmplifierChatStore(BaseChatStore):
    """Stores the messages of each key in the Amplifier session of the caller with that key.

    Without `client` the settings come from the environment. LlamaIndex runs the asynchronous methods in threads.
    """

    _client: Amplifier = PrivateAttr()

    def __init__(self, client: Amplifier | None = None) -> None:
        super().__init__()
        self._client = client or shared_sync()

    @classmethod
    def class_name(cls) -> str:
        """Returns the name by which LlamaIndex knows the class."""
        return "AmplifierChatStore"

    def session(self, key: str) -> Session:
        """Returns the session of a key in the client. Its first message creates it."""
        return self._client.session(key, tags=_TAGS)

    def get_messages(self, key: str) -> list[ChatMessage]:
        """Returns all messages in order."""
        found = self._client.find(key)
        return [ChatMessage.model_validate(message) for message in found.plain()] if found else []

    def add_message(self, key: str, message: ChatMessage) -> None:
        """Appends a message."""
        self._append(key, [message])

    def set_messages(self, key: str, messages: list[ChatMessage]) -> None:
        """Replaces the messages. Those at the beginning that stay the same keep their numbers."""
        found, wanted = self._client.find(key), [_stored(message) for message in messages]
        entries = found.messages() if found else []
        same = next(
            (n for n, (entry, new) in enumerate(zip(entries, wanted, strict=False)) if entry.message != new),
            min(len(entries), len(wanted)),
        )
        if found:
            for start in range(same, len(entries), _BATCH):
                found.retract(seqs=[entry.seq for entry in entries[start : start + _BATCH]])
        self._append(key, messages[same:])

    def delete_messages(self, key: str) -> list[ChatMessage] | None:
        """Deletes the session with its messages and returns them, or None if it is not there."""
        found = self._client.find(key)
        if found is None:
            return None
        messages = self.get_messages(key)
        found.delete()
        return messages

    def delete_message(self, key: str, idx: int) -> ChatMessage | None:
        """Retracts the message at an index and returns it, or None if there is none."""
        found = self._client.find(key)
        entries = found.messages() if found else []
        if found is None or not -len(entries) <= idx < len(entries):
            return None
        return _taken(found.retract(seqs=[entries[idx].seq]))

    def delete_last_message(self, key: str) -> ChatMessage | None:
        """Retracts the newest message and returns it. Of several callers at once, each gets another one."""
        found = self._client.find(key)
        return _taken(found.retract(last=1)) if found else None

    def get_keys(self) -> list[str]:
        """Returns the keys of all sessions that a chat store created."""
        return [row.external_id for row in self._client.sessions(tags=_TAGS) if row.external_id]

    def _append(self, key: str, messages: list[ChatMessage]) -> None:
        for start in range(0, len(messages), _BATCH):
            batch = [_stored(message) for message in messages[start : start + _BATCH]]
            self.session(key).append(batch, keys=[uuid.uuid4().hex for _ in batch])


def _stored(message: ChatMessage) -> dict[str, Any]:
    return json.loads(message.model_dump_json())  # type: ignore[no-any-return]


def _taken(answer: models.Retracted) -> ChatMessage | None:
    return ChatMessage.model_validate(answer.retracted[0].message) if answer.retracted else None
