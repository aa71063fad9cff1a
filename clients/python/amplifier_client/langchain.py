"""Chat histories of LangChain in Amplifier.

    RunnableWithMessageHistory(chain, AmplifierChatMessageHistory)

Needs `pip install 'amplifier-client[langchain]'`.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from ._shared import shared_sync
from ._sync.client import Amplifier

_BATCH = 1000  # messages of one request


class AmplifierChatMessageHistory(BaseChatMessageHistory):
    """The history with this id, which other processes and clients may use at the same time.

    `session_id` is the key of an Amplifier session of the caller. The first message creates it, with the given title,
    tags and metadata. Without `client` the settings come from the environment. LangChain runs the asynchronous methods
    in threads.
    """

    def __init__(self, session_id: str, *, client: Amplifier | None = None, **new: Any) -> None:
        self.session_id = session_id
        self.amplifier = (client or shared_sync()).session(session_id, **new)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """All messages, in order."""
        return self.last(None)

    def last(self, number: int | None) -> list[BaseMessage]:
        """Returns the newest messages in order; without a number, all."""
        if self.amplifier.known_id() is None:
            return []
        return messages_from_dict(self.amplifier.plain(last=number))

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Appends messages: all or none of up to 1,000."""
        for start in range(0, len(messages), _BATCH):
            batch = [message_to_dict(message) for message in messages[start : start + _BATCH]]
            self.amplifier.append(batch, keys=[uuid.uuid4().hex for _ in batch])

    def clear(self) -> None:
        """Deletes the session with its messages. The next message creates it anew."""
        self.amplifier.delete()
