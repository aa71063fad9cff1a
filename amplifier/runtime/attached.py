"""Puts the content of attachments into the messages that a model is sent. The transcript keeps the references."""

import asyncio
import base64
import re
from collections import Counter
from typing import Any

from amplifier.attachments.store import PREFIX, Gone, Place, Store
from amplifier.errors import Unavailable
from amplifier.queries.registry import Queries

_REFERENCE = re.compile(rf"{PREFIX}([0-9a-f]{{64}})")
_LISTS = ("content", "parts", "output")  # members of messages and blocks that hold blocks
_MOST = 20 * 1024 * 1024  # characters of base64 in the messages of one run
_TRIES, _PAUSE = 3, 0.5  # to read content, and seconds between
_SHOWN = 12  # digits of a hash in a note

Message = dict[str, Any]


class Room:
    """The memory of a process for the content of attachments. One user gets a quarter of it."""

    def __init__(self, most: int = 256 * 1024 * 1024) -> None:
        self._most, self._taken = most, 0
        self._of_users: Counter[str] = Counter()

    def take(self, user_id: str, size: int) -> bool:
        """Counts memory that a run uses. Returns False if there is not enough."""
        if self._taken + size > self._most or self._of_users[user_id] + size > self._most // 4:
            return False
        self._taken += size
        self._of_users[user_id] += size
        return True

    def give_back(self, user_id: str, size: int) -> None:
        """Ends the use of memory."""
        self._taken -= size
        self._of_users[user_id] -= size
        if not self._of_users[user_id]:
            del self._of_users[user_id]


class Attached:
    """The attachments of one run, read with the rights of the user for whom it works.

    The newest count, up to 20 MB. A message stays as it was sent first, as caches of providers demand.
    """

    def __init__(self, queries: Queries, store: Store, room: Room, session_id: str, user_id: str) -> None:
        self._queries, self._store, self._room = queries, store, room
        self._session_id, self._user_id = session_id, user_id
        self._taken = 0
        self._filled: dict[int, tuple[Message, Message]] = {}  # by the id of the message, which is kept for that

    async def filled(self, messages: list[Message]) -> list[Message]:
        """Returns messages with content in the place of references, or with notes."""
        # most are texts, and a coroutine for each would take as long as reading all of them from the database
        with_blocks = [one for one in messages if type(one.get("content")) is list or "parts" in one or "output" in one]
        for message in reversed(with_blocks):
            if id(message) not in self._filled:
                self._filled[id(message)] = (message, await self._message(message))
        if not with_blocks:
            return messages
        return [self._filled.get(id(message), (None, message))[1] for message in messages]

    def close(self) -> None:
        """Gives the memory back."""
        self._room.give_back(self._user_id, self._taken)
        self._taken = 0
        self._filled.clear()

    async def _message(self, message: Message) -> Message:
        """Returns the message itself if it refers to nothing, or a copy."""
        changed = {}
        for name in _LISTS:
            if isinstance(blocks := message.get(name), list) and _mentions(blocks):
                changed[name] = [await self._block(block) for block in blocks]
        return message | changed if changed else message

    async def _block(self, block: Any) -> Any:
        if not isinstance(block, dict):
            return block
        block = await self._message(block)
        reference = _reference(block)
        if reference is None:
            return block
        row = await self._queries.attachments.get(actor_id=self._user_id, session_id=self._session_id, sha256=reference)
        if row is None:
            return _note(f"The attachment {reference[:_SHOWN]}… is gone")
        named = f"The attachment {row['name'] or reference[:_SHOWN] + '…'} ({row['content_type']}, {row['size']} bytes)"
        size = (row["size"] + 2) // 3 * 4
        if self._taken + size > _MOST:
            return _note(f"{named} is left out: the attachments of a request exceed 20 MB")
        if not self._room.take(self._user_id, size):
            return _note(f"{named} is left out: too many attachments are being sent at the moment")
        self._taken += size
        content = await self._content(Place(self._user_id, self._session_id, reference, row["size"], row["location"]))
        if content is None:
            return _note(f"{named} could not be read")
        return _with_content(block, row["content_type"].partition(";")[0].strip().lower(), content)

    async def _content(self, place: Place) -> str | None:
        """Returns content as base64, or None if it cannot be read."""
        for _ in range(_TRIES):
            try:
                parts = [part async for part in self._store.parts(self._queries.snapshot(), place, 0, place.size)]
                return await asyncio.to_thread(lambda read: base64.b64encode(b"".join(read)).decode(), parts)
            except Unavailable:
                await asyncio.sleep(_PAUSE)
            except Gone:
                break
        return None


def _mentions(value: Any) -> bool:
    """Returns whether a value has a reference anywhere."""
    if isinstance(value, str):
        return value.startswith(PREFIX)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_mentions, inner))


def _reference(block: Message) -> str | None:
    """Returns the hash that a block names as an address or as base64, itself or in an object in it."""
    for name, value in block.items():
        if isinstance(value, str) and name != "text" and (match := _REFERENCE.fullmatch(value)):
            return match[1]
        if isinstance(value, dict) and (found := _reference(value)) is not None:
            return found
    return None


def _with_content(block: Message, media_type: str, content: str) -> Message:
    """Returns an image as amplifier-core has it, and any other block with a data URL."""
    if media_type.startswith("image/"):
        marks = {name: block[name] for name in ("cache_control",) if name in block}
        return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": content}} | marks
    filled: Message = _replaced(block, f"data:{media_type};base64,{content}")
    return filled


def _replaced(value: Any, url: str) -> Any:
    if isinstance(value, dict):
        return {name: one if name == "text" else _replaced(one, url) for name, one in value.items()}
    return url if isinstance(value, str) and _REFERENCE.fullmatch(value) else value


def _note(text: str) -> Message:
    return {"type": "text", "text": f"({text}.)"}
