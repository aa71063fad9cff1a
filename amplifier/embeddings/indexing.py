"""Embeds messages in a background job. Each process claims other messages; nothing is locked while a model works.

A claim ends by itself, so that the messages of a process that died are embedded by another one.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from amplifier.embeddings.models import Embedded, EmbeddingError, Model
from amplifier.errors import TooSlow, Unavailable
from amplifier.queries.registry import Queries
from amplifier.telemetry import recorder

logger = logging.getLogger(__name__)

MOST_CHARACTERS = 8000  # of a text; models take 8,191 tokens, which even unspaced scripts seldom exceed
FEWEST_CHARACTERS = 500  # to which a text is shortened that a model refuses
MOST_ATTEMPTS = 5
TRIAL = "hello"  # a text that every model takes
_AT_ONCE = 64  # texts in one request
_WINDOW = 1000  # waiting messages of which sessions take turns
_CLAIMED = 120.0  # seconds of a claim, longer than a request may take
_PACE = 2.0  # seconds between two looks for messages, at random up to a fifth less: not all processes at once
_SHORTEST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0  # seconds after an error
_UNPREPARED = 30.0  # seconds between two looks at a database that is not prepared for the model


class Claim(NamedTuple):
    """A claimed message, and its text once that was read, "" if there is none."""

    session_id: str
    seq: int
    due_at: Any
    attempts: int
    words: str = ""
    digest: bytes = b""


Claims = dict[tuple[str, int], Claim]


class Indexing:
    """The background job of one process. `rate` is the number of texts that it embeds per minute at most."""

    def __init__(self, queries: Queries, model: Model, rate: int) -> None:
        self._queries, self._model, self._rate = queries, model, rate
        self._failures = 0
        self._warned: str | None = None

    async def keep_embedding(self) -> None:
        """Embeds messages as they come. Never returns."""
        while True:
            pause = await self.attempt()
            await asyncio.sleep(pause)

    async def attempt(self) -> float:
        """Embeds the next messages, and returns the seconds after which the following ones are due."""
        try:
            texts = await self.embed_next()
        except EmbeddingError as error:
            return self._pause_after(str(error), error.retry_after)
        except Unavailable as error:
            return self._pause_after(error.reason, None)
        except Exception as error:  # of any kind: the next attempt must follow
            return self._pause_after(repr(error), None)
        self._failures, self._warned = 0, None
        if texts is None:
            return float(_PACE * random.uniform(0.8, 1))  # noqa: S311
        return texts * 60 / self._rate

    def _pause_after(self, reason: str, retry_after: float | None) -> float:
        """Logs an error once until another one or none follows. Returns the pause, longer after each failure."""
        if reason != self._warned:
            logger.warning("messages were not embedded, trying again: %s", reason)
            self._warned = reason
        self._failures += 1
        pause = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2.0 ** min(self._failures - 1, 10))
        pause *= random.uniform(0.8, 1)  # noqa: S311
        return max(pause, min(retry_after or 0.0, _LONGEST_PAUSE))

    async def embed_next(self) -> int | None:
        """Embeds the next messages. Returns the number of texts that the model was given, None if none waits.

        Raises EmbeddingError if the model fails, after all claims were given back.
        """
        prepared = await self._queries.embeddings.get_model()
        if prepared is None or prepared["model"] != self._model.name:
            raise EmbeddingError(
                "the database is not prepared for SEARCH_EMBEDDINGS: run amplifier-api search embeddings",
                retry_after=_UNPREPARED,
            )
        rows = await self._queries.embeddings.claim(seconds=_CLAIMED, window=_WINDOW, limit=_AT_ONCE)
        if not rows:
            return None
        left: Claims = {(row["session_id"], row["seq"]): Claim(*row) for row in rows}
        try:
            await self._read(left)
            return await self._embed(left, prepared["dimensions"])
        finally:
            if left:  # also when the process stops
                with contextlib.suppress(Unavailable):
                    await asyncio.shield(self._give_back(list(left.values()), 0.0, failed=False))

    async def _read(self, left: Claims) -> None:
        """Adds the texts to the claims. Ends those of messages that take too long to read."""
        try:
            texts = await self._texts(list(left.values()))
        except TooSlow:
            texts = {}
            for claim in list(left.values()):
                try:
                    texts |= await self._texts([claim])
                except TooSlow:
                    await self._fail(left, claim)
        for place in left:
            left[place] = left[place]._replace(**texts.get(place, {}))

    async def _texts(self, claims: list[Claim]) -> dict[tuple[str, int], dict[str, Any]]:
        """Returns the texts of claimed messages. A text that is replaced after the claim ends it."""
        rows = await self._queries.embeddings.list_texts(
            session_ids=[claim.session_id for claim in claims],
            seqs=[claim.seq for claim in claims],
            most=MOST_CHARACTERS,
        )
        return {(row["session_id"], row["seq"]): {"words": row["words"], "digest": row["digest"]} for row in rows}

    async def _embed(self, left: Claims, dimensions: int) -> int:
        """Ends the claims one by one, and removes them from `left`. Returns the number of texts that were sent."""
        await self._give_up(left, [claim for claim in left.values() if not claim.words], "empty")
        await self._give_up(left, [claim for claim in left.values() if claim.attempts > MOST_ATTEMPTS], "given_up")
        if not left:
            return 0
        copied = await self._queries.embeddings.copy(**_places(list(left.values())), digests=_digests(left.values()))
        for row in copied:
            left.pop((row["session_id"], row["seq"]), None)
        recorder.current.embedded("copied", len(copied))
        claims = list(left.values())
        if not claims:
            return 0
        try:
            await self._store(left, claims, await self._vectors([claim.words for claim in claims], dimensions))
        except EmbeddingError as error:
            if not error.is_of_texts:
                raise
            await self._try_model(dimensions)
            for claim in claims:  # one of them is at fault
                await self._embed_alone(left, claim, dimensions)
        return len(claims)

    async def _try_model(self, dimensions: int) -> None:
        """Raises EmbeddingError if the model refuses every text, so that the messages are not to blame."""
        try:
            await self._vectors([TRIAL], dimensions)
        except EmbeddingError as error:
            raise EmbeddingError(f"{error}, whatever the text", retry_after=error.retry_after) from None

    async def _embed_alone(self, left: Claims, claim: Claim, dimensions: int) -> None:
        """Embeds a text by itself, shortened until the model takes it. Notes a failure of the message otherwise."""
        words = claim.words
        while True:
            try:
                await self._store(left, [claim], await self._vectors([words], dimensions))
                return
            except EmbeddingError as error:
                if not error.is_of_texts:
                    raise
                words = words[: len(words) // 2]
                if len(words) < FEWEST_CHARACTERS:
                    break
        await self._fail(left, claim)

    async def _fail(self, left: Claims, claim: Claim) -> None:
        """Ends the claim of a message that is at fault itself: it is due later, or given up."""
        if claim.attempts >= MOST_ATTEMPTS:
            await self._give_up(left, [claim], "given_up")
            return
        await self._give_back([claim], 60.0 * claim.attempts, failed=True)
        recorder.current.embedded("failed", 1)
        del left[claim.session_id, claim.seq]

    async def _vectors(self, texts: list[str], dimensions: int) -> list[list[float]]:
        embedded = await measured(self._model, texts, "messages")
        for vector in embedded.vectors:
            if len(vector) != dimensions:
                raise EmbeddingError(
                    f"the model's vectors have {len(vector)} numbers, and the database is prepared for {dimensions}: "
                    "run amplifier-api search embeddings",
                    retry_after=_UNPREPARED,
                )
        return embedded.vectors

    async def _store(self, left: Claims, claims: list[Claim], vectors: list[list[float]]) -> None:
        texts = ["{" + ",".join(map(repr, vector)) + "}" for vector in vectors]
        digests = _digests(claims)
        await self._queries.embeddings.store(**_places(claims), digests=digests, vectors=texts)
        recorder.current.embedded("embedded", len(claims))
        for claim in claims:
            del left[claim.session_id, claim.seq]

    async def _give_up(self, left: Claims, claims: list[Claim], outcome: str) -> None:
        if claims:
            await self._queries.embeddings.give_up(**_places(claims))
            recorder.current.embedded(outcome, len(claims))
        for claim in claims:
            del left[claim.session_id, claim.seq]

    async def _give_back(self, claims: list[Claim], seconds: float, failed: bool) -> None:
        await self._queries.embeddings.give_back(**_places(claims), seconds=seconds, failed=failed)


async def measured(model: Model, texts: list[str], purpose: str) -> Embedded:
    """Returns the vectors of some texts, and measures the call. Raises EmbeddingError."""
    started = time.monotonic()
    tokens = None
    try:
        embedded = await model.embed(texts)
        tokens = embedded.tokens
    finally:
        recorder.current.embedding_called(purpose, time.monotonic() - started, tokens)
    return embedded


def _places(claims: Sequence[Claim]) -> dict[str, Any]:
    """Returns the arguments that name claims, by which a query knows that they have not ended."""
    return {
        "session_ids": [claim.session_id for claim in claims],
        "seqs": [claim.seq for claim in claims],
        "claimed_until": [claim.due_at for claim in claims],
    }


def _digests(claims: Any) -> list[bytes]:
    return [claim.digest for claim in claims]
