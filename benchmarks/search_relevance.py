"""Measures the ranking of searches for known messages by their own words, compared with BM25 on the same texts.

Two corpora: sessions about code, made from the standard library's sources, and the transcripts of TRANSCRIPTS, a JSON
file (or .json.gz): a list of objects whose `messages` or `traj` is a transcript. The weights of the ranking were chosen
on other sessions than the reported ones, which are every fourth.
"""

import gzip
import os
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psycopg
from rank_bm25 import BM25Okapi

from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from benchmarks.code_sessions import code_sessions
from benchmarks.figures import at_least
from benchmarks.search_corpus import made
from benchmarks.search_queries import ARGUMENTS, connected

USER = "bench-user"
QUERIES, FIRST = 800, 10  # how many of a kind are asked, and how many hits of each count
BESIDE_BM25, NEIGHBOURS_BESIDE_BM25 = 1.0, 1.1
_STOP_WORDS = (
    "i me my we our you your he she it its they them the a an and or but if of at by for with about to from in on is "
    "are was were be been am do does did not no can will would could should have has had this that these those there "
    "what which who when where how as so than too very just"
)
TEXTS = """
select m.session_id, m.seq, concat_ws(' ', t.said, t.called, t.returned, t.thought)
from messages as m cross join lateral message_texts(m.message) as t
order by m.session_id, m.seq
"""

Place = tuple[str, int]  # session and number
Transcript = list[dict[str, Any]]


class Looked(NamedTuple):
    """A query, and the number of the message that its words are from."""

    number: int
    q: str


class Texts(NamedTuple):
    """The messages as words, their places, and which of them are of reported sessions."""

    words: list[list[str]]
    places: list[Place]
    reported: list[int]


async def relevance(server_dsn: str) -> None:
    """Prints the mean reciprocal rank of both, and their ratio, for each kind of query and corpus."""
    await _compare(server_dsn, "code sessions", code_sessions())
    if "TRANSCRIPTS" in os.environ:
        await _compare(server_dsn, "transcripts", transcripts(Path(os.environ["TRANSCRIPTS"])))
    else:
        print("\nrelevance in transcripts: skipped, TRANSCRIPTS names no file")


def transcripts(file: Path) -> list[Transcript]:
    """Returns the transcripts of a file."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [record.get("messages") or record["traj"] for record in msgspec.json.decode(content)]


async def _compare(server_dsn: str, name: str, sessions: list[Transcript]) -> None:
    with made(server_dsn, "relevance") as dsn:
        migrate.migrate(dsn)
        async with connected(dsn) as queries:
            await load(queries, sessions)
            texts = _read(dsn)
            ranking = BM25Okapi(texts.words)
            print(
                f"\n{f'{name}, {len(texts.words):,} messages':36}{'search':>8}{'BM25':>8}{'ratio':>8}{'first 10':>10}"
            )
            for kind, draw in KINDS.items():
                looked = _draw(texts, draw)
                ours = [await rank(queries, one.q, texts.places[one.number]) for one in looked]
                theirs = [_bm25_rank(ranking, one) for one in looked]
                _report(kind, ours, theirs)


def _report(kind: str, ours: list[int], theirs: list[int]) -> None:
    ratio, demanded = mean(ours) / mean(theirs), NEIGHBOURS_BESIDE_BM25 if "neighbour" in kind else BESIDE_BM25
    figures = f"{mean(ours):>8.3f}{mean(theirs):>8.3f}{ratio:>8.2f}{_found(ours):>10.3f}"
    print(f"{kind:36}{figures}   {at_least(ratio, demanded)}", flush=True)


async def load(queries: Queries, all_messages: list[Transcript]) -> None:
    """Creates a session for each transcript and appends its messages."""
    app = {"actor_id": USER, "actor_app_id": "bench"}
    await queries.configs.create(
        actor_id=USER, config_id="bench", name="bench", description=None, config_json=b"{}", tags=b"{}"
    )
    for number, messages in enumerate(all_messages):
        session_id, body = f"session-{number:06}", msgspec.json.encode(messages)
        await queries.sessions.create(
            **app,
            session_id=session_id,
            external_id=None,
            config_id="bench",
            title=None,
            tags=b"{}",
            metadata=b"{}",
        )
        assert await queries.messages.append(**app, session_id=session_id, messages=body, expected_seq=None)


def _read(dsn: str) -> Texts:
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("vacuum analyze")
        rows = owner.execute(TEXTS).fetchall()
    reported = [number for number, row in enumerate(rows) if int(row[0].rpartition("-")[2]) % 4 == 3]
    return Texts([_tokens(row[2]) for row in rows], [row[:2] for row in rows], reported)


def _neighbours(drawn: random.Random, words: list[str]) -> list[str]:
    """Returns three words as they follow each other, two of which are not stop words."""
    start = drawn.randrange(max(len(words) - 2, 1))
    return words[start : start + 3] if len(_telling(words[start : start + 3])) > 1 else []


def _scattered(number: int) -> Callable[[random.Random, list[str]], list[str]]:
    """Returns a function that draws words of a message with at least four that are not stop words."""

    def draw(drawn: random.Random, words: list[str]) -> list[str]:
        telling = sorted(_telling(words))
        return drawn.sample(telling, number) if len(telling) >= 4 else []

    return draw


def _telling(words: list[str]) -> set[str]:
    return {word for word in words if word not in _STOP_WORDS.split() and len(word) > 2}


def _draw(texts: Texts, draw: Callable[[random.Random, list[str]], list[str]]) -> list[Looked]:
    drawn, looked = random.Random(20261122), list[Looked]()
    while len(looked) < QUERIES:
        number = drawn.choice(texts.reported)
        if words := draw(drawn, texts.words[number]):
            looked.append(Looked(number, " ".join(words)))
    return looked


async def rank(queries: Queries, q: str, place: Place) -> int:
    """Returns the rank of the message by the service's own query, from 1, or 0 if it is not among the first."""
    rows = await queries.search.list_messages(actor_id=USER, q=q, **(ARGUMENTS | {"limit": FIRST}))
    found = [(row["session_id"], row["seq"]) for row in rows]
    return found.index(place) + 1 if place in found else 0


def _bm25_rank(ranking: BM25Okapi, looked: Looked) -> int:
    best = np.argsort(-ranking.get_scores(_tokens(looked.q)), kind="stable")[:FIRST].tolist()
    return best.index(looked.number) + 1 if looked.number in best else 0


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def mean(ranks: list[int]) -> float:
    """Returns the mean reciprocal rank."""
    return sum(1 / rank for rank in ranks if rank) / len(ranks)


def _found(ranks: list[int]) -> float:
    return sum(map(bool, ranks)) / len(ranks)


KINDS = {"3 neighbouring words": _neighbours} | {
    f"{number} scattered words": _scattered(number) for number in (2, 3, 4)
}
