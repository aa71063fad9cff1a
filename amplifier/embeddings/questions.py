"""Embeds what people search for, within a limit of time and a share by user, and remembers it for some minutes."""

import asyncio
import time
from array import array
from collections import OrderedDict

from amplifier.embeddings.indexing import measured
from amplifier.embeddings.models import EmbeddingError, Model
from amplifier.errors import Crowded
from amplifier.fair_share import Shares
from amplifier.queries.registry import Queries

_PLACES, _SHARE = 8, 2  # questions that the model embeds at a time, and those of one user
_MOST_KEPT, _KEPT = 256, 600.0  # questions, and seconds
_RESTING = 5.0  # seconds after a failure, in which no search waits for the model


class Questions:
    """Vectors of questions. `limit` is the time in seconds that a search waits for one."""

    def __init__(self, queries: Queries, model: Model, limit: float) -> None:
        self._queries, self._model, self._limit = queries, model, limit
        self._shares = Shares(_PLACES, _SHARE)
        self._kept: OrderedDict[str, tuple[float, array[float]]] = OrderedDict()
        self._rests_until = 0.0
        self._reason = ""

    async def vector(self, q: str, user_id: str) -> "array[float]":
        """Returns the vector of a question. Raises EmbeddingError with a reason that callers may see."""
        prepared = await self._queries.embeddings.get_model()
        if prepared is None or prepared["model"] != self._model.name:
            raise EmbeddingError("the database is not prepared for it: run amplifier-api search embeddings")
        vector = self._remembered(q)
        if vector is None:
            vector = await self._embedded(q, user_id)
            self._kept[q] = (time.monotonic() + _KEPT, vector)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        if len(vector) != prepared["dimensions"]:
            raise EmbeddingError("the database is prepared for other vectors: run amplifier-api search embeddings")
        return vector

    def _remembered(self, q: str) -> "array[float] | None":
        until, vector = self._kept.get(q, (0.0, None))
        if until < time.monotonic():
            self._kept.pop(q, None)
            return None
        self._kept.move_to_end(q)
        return vector

    async def _embedded(self, q: str, user_id: str) -> "array[float]":
        if time.monotonic() < self._rests_until:
            raise EmbeddingError(self._reason)
        try:
            async with asyncio.timeout(self._limit):
                await self._shares.take(user_id)
                try:
                    embedded = await measured(self._model, [q], "questions")
                finally:
                    self._shares.give_back(user_id)
        except Crowded:
            raise EmbeddingError("too many of your searches wait for the model") from None
        except TimeoutError:
            raise self._resting(EmbeddingError(f"the model did not answer in {self._limit:g} s")) from None
        except EmbeddingError as error:
            raise error if error.is_of_texts else self._resting(error) from None
        return array("f", embedded.vectors[0])

    def _resting(self, error: EmbeddingError) -> EmbeddingError:
        """Returns the error, with which searches are answered until the model had time to recover."""
        self._reason = str(error)
        self._rests_until = time.monotonic() + min(max(_RESTING, error.retry_after or 0), 60)
        return error
