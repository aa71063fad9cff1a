"""Conversations of pydantic-ai in Amplifier.

    await store.save(await agent.run("Hi", conversation=await store.open("user-42")))

Needs `pip install 'amplifier-client[pydantic-ai]'`.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter
from pydantic_ai import ModelMessagesTypeAdapter
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
    ConversationStore,
)
from pydantic_ai.messages import ModelMessage

from . import models
from ._async.client import AsyncAmplifier
from ._shared import shared
from .errors import NotFound, Stale

_BATCH = 500  # messages of one request
_TRIES = 20  # of a write while others append to the session
_NAME = "pydantic_ai"  # of the member of messages and of the state document
_TAGS = {_NAME: "conversation"}
_RECORDS = TypeAdapter(ConversationRecord)


class AmplifierConversationStore(ConversationStore):
    """Stores a conversation in the Amplifier session of the caller whose key is its id.

    Its messages are in the transcript, its record is in the session's state document. Forks copy the messages that they
    keep. A delete deletes the messages, too. Without `client` the settings come from the environment.
    """

    def __init__(self, client: AsyncAmplifier | None = None) -> None:
        self.amplifier = client or shared()

    async def open(self, conversation_id: str, *, limit: int | None = None, scope: str | None = None) -> Conversation:
        """Returns a conversation as `load` does, or a new one with this id, which its first save stores."""
        found = await self.load(conversation_id, limit=limit, scope=scope)
        return found or Conversation(conversation_id=conversation_id)

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """Returns the record of a conversation, or None if there is none."""
        found = await self.amplifier.find(conversation_id)
        try:
            document = (await self._state(await found.id())).document if found else {}
        except NotFound:  # deleted by another client
            self.amplifier.remember(conversation_id, None)
            return None
        return _record(conversation_id, document)

    async def read_records(self, *, scope: str | None = None, limit: int | None = None) -> Sequence[ConversationRecord]:
        """Returns the records of the caller's conversations, the last saved first."""
        rows = [row async for row in self.amplifier.sessions(tags=_TAGS, include=["state"])]
        found = [_record(row.external_id or "", row.state.document if row.state else {}) for row in rows]
        records = [record for record in found if record and (scope is None or record.scope == scope)]
        return sorted(records, key=lambda record: record.updated_at, reverse=True)[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Appends messages and replaces the record, in one transaction. Raises ConversationConflict."""
        key, source = record.conversation_id, record.forked_from
        if expected_revision is None and source and record.head_id and not new_entries:
            new_entries = await self.read_history(_Id(record.head_id, source))
        await self._check(key, expected_revision)
        session = self.amplifier.session(key, tags=_TAGS)
        messages, early = [_stored(entry) for entry in new_entries], max(len(new_entries) - _BATCH, 0)
        for start in range(0, early, _BATCH):  # nothing refers to them until the record does
            batch = messages[start : min(start + _BATCH, early)]
            await session.append(batch, keys=[str(message[_NAME]["id"]) for message in batch])
        patch = {"session": {_NAME: [_RECORDS.dump_python(record, mode="json")]}}
        for _ in range(_TRIES):
            seq = (await session.get()).last_seq
            await self._check(key, expected_revision)
            with contextlib.suppress(Stale):  # what changed may be something else
                await session.append(messages[early:], state=patch, expected_seq=seq)
                return
        raise ConversationConflict(key)

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Deletes the session with its messages. Raises ConversationConflict."""
        await self._check(conversation_id, expected_revision)
        await self.amplifier.session(conversation_id).delete()

    async def read_history(self, head_id: str | None, *, limit: int | None = None) -> list[ConversationEntry]:
        """Returns the entries up to one, in order. Raises LookupError for an id that this store did not return."""
        if head_id is None or limit == 0:
            return []
        key = head_id.conversation_id if isinstance(head_id, _Id) else ""
        session = await self.amplifier.find(key) if key else None
        if session is None:
            raise LookupError(f"entry {head_id}: pass an id as the store returned it, of a conversation that is there")
        stored = {one[_NAME]["id"]: one for one in await session.plain() if _NAME in one}
        chain: list[dict[str, Any]] = []
        following: str | None = head_id
        while following is not None and (limit is None or len(chain) < limit):
            chain.append(stored[following])
            following = chain[-1][_NAME]["parent_id"]
        chain.reverse()
        messages = ModelMessagesTypeAdapter.validate_python(chain)
        return [_entry(one[_NAME], message, key) for one, message in zip(chain, messages, strict=True)]

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """Returns an entry. Raises LookupError for an id that this store did not return."""
        return (await self.read_history(entry_id, limit=1))[0]

    async def _state(self, session_id: str) -> models.State:
        return (await self.amplifier.session(id=session_id).state()).session

    async def _check(self, conversation_id: str, revision: str | None) -> None:
        record = await self.read_record(conversation_id)
        if (record.revision if record else None) != revision:
            raise ConversationConflict(conversation_id)


class _Id(str):
    """The id of an entry that knows its conversation."""

    conversation_id: str

    def __new__(cls, value: str, conversation_id: str = "") -> "_Id":
        new = super().__new__(cls, value)
        new.conversation_id = conversation_id
        return new


def _record(conversation_id: str, document: dict[str, Any]) -> ConversationRecord | None:
    if _NAME not in document:
        return None
    record = _RECORDS.validate_python(document[_NAME][0])
    head, branches = record.head_id, [_Id(tip, conversation_id) for tip in record.branches]
    return replace(record, head_id=head and _Id(head, conversation_id), branches=list(branches))


def _entry(names: dict[str, Any], message: ModelMessage, key: str) -> ConversationEntry:
    parent = names["parent_id"] and _Id(names["parent_id"], key)
    return ConversationEntry(id=_Id(names["id"], key), parent_id=parent, message=message)


def _stored(entry: ConversationEntry) -> dict[str, Any]:
    [message] = ModelMessagesTypeAdapter.dump_python([entry.message], mode="json")
    return {**message, _NAME: {"id": entry.id, "parent_id": entry.parent_id}}
