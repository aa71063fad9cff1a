"""The interface of models that embed texts, their errors, and the model that a setting names."""

import math
from typing import NamedTuple, Protocol

from amplifier.settings import Settings

_SMALLEST = 1e-8  # half precision has nothing between this and 0, and PostgreSQL refuses products that underflow
MOST_DIMENSIONS = 4000  # an HNSW index of pgvector takes no longer vectors of half precision


class EmbeddingError(Exception):
    """Texts were not embedded. The message tells operators why, and contains no text and no secret.

    `retry_after` are seconds for which the model refuses further texts. `is_of_texts` says that the model works, and
    refuses these texts.
    """

    def __init__(self, reason: str, *, retry_after: float | None = None, is_of_texts: bool = False) -> None:
        super().__init__(reason)
        self.retry_after, self.is_of_texts = retry_after, is_of_texts


class Embedded(NamedTuple):
    """Vectors of length 1, in the order of the texts, and the tokens that they cost."""

    vectors: list[list[float]]
    tokens: int


class Model(Protocol):
    """Embeds texts. `name` is that of SEARCH_EMBEDDINGS, by which the database knows whose vectors it has."""

    name: str

    async def embed(self, texts: list[str]) -> Embedded:
        """Returns the vectors of some texts, none of which is empty. Raises EmbeddingError."""

    async def close(self) -> None:
        """Closes connections."""


def configured(settings: Settings) -> Model | None:
    """Returns the model of SEARCH_EMBEDDINGS, None if the search by meaning is off. Raises SettingsError."""
    if settings.search_embeddings is None:
        return None
    kind, _, name = settings.search_embeddings.partition(":")
    if kind == "local":
        from amplifier.embeddings.local_model import LocalModel

        return LocalModel(settings.search_embeddings, name)
    from amplifier.embeddings.openai_model import OpenAIModel

    return OpenAIModel(settings.search_embeddings, name, settings.search_embeddings_url, settings.search_embeddings_key)


def unit(vector: list[float]) -> list[float]:
    """Returns a vector with the length 1: the cosine needs no more, and no number exceeds half precision.

    Raises EmbeddingError for a vector without a direction, and for one that is too long for the database.
    """
    length = math.hypot(*vector)
    if not 0 < length < math.inf:
        raise EmbeddingError("the model returned a vector without a direction", is_of_texts=True)
    if len(vector) > MOST_DIMENSIONS:
        raise EmbeddingError(f"the model's vectors have {len(vector):,} numbers, and {MOST_DIMENSIONS:,} at most fit")
    return [number / length if abs(number) > length * _SMALLEST else 0.0 for number in vector]
