"""Deletes attachments to which no message refers, and blobs that no attachment has, in a background job.

Requests search for no references: each attachment is checked once in ATTACHMENT_GRACE seconds, by itself.
"""

import asyncio
import logging
import random
from datetime import timedelta
from typing import Any

from amplifier import clock
from amplifier.attachments.store import Store
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

_PACE = 60.0  # seconds between two rounds, at random up to a fifth less: not all processes at once
_AT_ONCE = 20  # attachments or blobs that one statement claims
_BATCHES = 50  # statements in a round
_LIMIT = 30.0  # seconds for the search in one session, and for one blob


async def keep_expiring(queries: Queries, store: Store, grace: float) -> None:
    """Checks attachments and blobs once a minute. Never returns."""
    while True:
        await asyncio.sleep(_PACE * random.uniform(0.8, 1))  # noqa: S311
        await expire(queries, store, grace)


async def expire(queries: Queries, store: Store, grace: float) -> None:
    """Checks what is due. Logs an error, and leaves what it concerns to a later round."""
    for work in (_attachments(queries, grace), _blobs(queries, store)):
        try:
            await work
        except Exception as error:  # of any kind: the other work and the next round must follow
            logger.warning("attachments were not checked, trying again: %r", error)


async def _attachments(queries: Queries, grace: float) -> None:
    for _ in range(_BATCHES):
        before = clock.utc() - timedelta(seconds=grace)
        claimed = await queries.attachment_expiry.claim(before=before, limit=_AT_ONCE)
        for row in claimed:
            try:
                await _check(queries, row)
            except Exception as error:  # of any kind: it concerns this session
                logger.warning("an attachment of session %s was not checked: %r", row["session_id"], error)
        if len(claimed) < _AT_ONCE:
            return


async def _check(queries: Queries, row: Any) -> None:
    """Notes the message that refers to an attachment, or deletes the attachment.

    The search may take long and locks nothing. If something happened in the session meanwhile, the attachment stays
    until it is due again.
    """
    place = {"session_id": row["session_id"], "sha256": row["sha256"]}
    async with queries.database.patient(_LIMIT):
        seq = await queries.attachment_expiry.find_reference(**place, referenced_seq=row["referenced_seq"])
    if seq is not None:
        await queries.attachment_expiry.keep(**place, seq=seq)
        return
    async with queries.database.transaction():
        if await queries.attachment_expiry.lock_session(session_id=row["session_id"]) == row["last_seq"]:
            deleted = await queries.attachment_expiry.delete(**place, checked_before=row["checked_at"])
            logger.info("deleted %d attachments without a reference of session %s", deleted, row["session_id"])


async def _blobs(queries: Queries, store: Store) -> None:
    for row in await queries.attachment_expiry.list_removals(limit=_AT_ONCE * _BATCHES):
        if not row["is_used"]:
            async with asyncio.timeout(_LIMIT):
                await store.remove(row["location"])
        await queries.attachment_expiry.end_removal(location=row["location"])
