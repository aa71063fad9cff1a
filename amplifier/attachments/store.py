"""Writes and reads the content of attachments: in parts in the database, or as blobs.

The rows of attachments are written by the queries of their callers.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import BinaryIO, NamedTuple

from amplifier import clock
from amplifier.attachments.blobs import Blobs
from amplifier.queries.registry import QuerySet
from amplifier.settings import Settings

PREFIX = "amplifier:sha256/"  # of the text by which messages refer to an attachment
PART = 256 * 1024  # bytes that are read or written at once
_ABANDONED = timedelta(days=1)  # after which a blob without an attachment is removed

Read = Callable[[int, int], Awaitable[bytes]]


class Place(NamedTuple):
    """An attachment as one of its readers finds it; `location` is the name of its blob, or None."""

    actor_id: str
    session_id: str
    sha256: str
    size: int
    location: str | None


class Gone(Exception):
    """The attachment, or the reader's right to it, is gone since the reading began."""


class Store:
    """The place of contents that the settings choose. It reads contents of the other place, too."""

    def __init__(self, settings: Settings) -> None:
        """Raises OperatorError if Azure's packages are missing."""
        url = settings.attachments_azure_url
        self._blobs = None if url is None else Blobs(url)
        self._new_in_blobs = settings.attachments == "azure"

    async def upload(self, queries: QuerySet, file: BinaryIO, size: int) -> str | None:
        """Writes content into a new blob and returns its name, or None if the database is to have the content.

        The blob is noted before, so that it is removed if it gets no attachment within a day. Raises Unavailable.
        """
        if not self._new_in_blobs or self._blobs is None:
            return None
        location = str(uuid.uuid4())
        await queries.attachment_expiry.plan_removal(location=location, due_at=clock.utc() + _ABANDONED)
        await self._blobs.write(location, file, size)
        return location

    async def write(self, queries: QuerySet, place: Place, read: Read) -> None:
        """Writes content into the database, part by part, unless it is in a blob."""
        if place.location is not None:
            return
        for start in range(0, place.size, PART):
            await queries.attachments.add_chunk(
                actor_id=place.actor_id,
                session_id=place.session_id,
                sha256=place.sha256,
                start=start,
                data=await read(start, min(PART, place.size - start)),
            )

    async def parts(self, queries: QuerySet, place: Place, start: int, end: int) -> AsyncIterator[bytes]:
        """Yields the bytes from `start` up to `end` in parts. Each is read for itself, with the reader's rights.

        Raises Gone if the content ends early, and Unavailable.
        """
        while start < end:
            if place.location is None:
                part = await _from_database(queries, place, start)
            elif self._blobs is not None:
                part = await self._blobs.read(place.location, start, min(PART, end - start))
            else:
                raise Gone("the content is in Azure Blob Storage: set ATTACHMENTS_AZURE_URL")
            if not part:
                raise Gone
            yield part[: end - start]
            start += len(part)

    async def remove(self, location: str) -> None:
        """Removes a blob. Raises Unavailable, also if no blobs are configured."""
        await _configured(self._blobs).remove(location)


def _configured(blobs: Blobs | None) -> Blobs:
    if blobs is None:
        raise Gone("blobs are left: set ATTACHMENTS_AZURE_URL")
    return blobs


async def _from_database(queries: QuerySet, place: Place, start: int) -> bytes:
    row = await queries.attachments.get_chunk(
        actor_id=place.actor_id, session_id=place.session_id, sha256=place.sha256, place=start
    )
    return b"" if row is None else bytes(memoryview(row["data"])[start - row["start"] :])
