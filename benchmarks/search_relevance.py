"""Measures the ranking of hits in searches for messages by their own words, compared with BM25 on the same texts.

TRANSCRIPTS names a JSON file (or .json.gz): a list of objects whose `messages` or `traj` is a transcript.
"""

import gzip
import os
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psycopg
from rank_bm25 import BM25Okapi

from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from benchmarks.figures import at_least
from benchmarks.search_corpus import made
from benchmarks.search_queries import ARGUMENTS, connected

USER = "bench-user"
QUERIES, FIRST = 400, 10  # how many are asked, and how many hits of each count
BESIDE_BM25 = 0.9
_STOP_WORDS = (
    "i me my we our you your he she it its they them the a an and or but if of at by for with about to from in on is "
    "are was were be been am do does did not no can will would could should have has had this that these those there "
    "what which who when where how as so than too very just"
)
_TEXTS = """
select m.session_id, m.seq, concat_ws(' ', t.said, t.called, t.returned, t.thought)
from messages as m cross join lateral message_texts(m.message) as t
order by m.session_id, m.seq
"""

Place = tuple[str, int]  # session and number


class Looked(NamedTuple):
    """A query, and the number of the message that its words are from."""

    number: int
    q: str


async def relevance(server_dsn: str) -> None:
    """Prints the mean reciprocal rank of both, and their ratio."""
    if "TRANSCRIPTS" not in os.environ:
        print("\nrelevance: skipped, TRANSCRIPTS names no file")
        return
    with made(server_dsn, "relevance") as dsn:
        migrate.migrate(dsn)
        async with connected(dsn) as queries:
            await _load(queries, transcripts(Path(os.environ["TRANSCRIPTS"])))
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute("vacuum analyze")
                rows = owner.execute(_TEXTS).fetchall()
            places, texts = [row[:2] for row in rows], [_tokens(row[2]) for row in rows]
            looked = _draw(texts)
            ours = [await _rank(queries, one.q, places[one.number]) for one in looked]
    ranking = BM25Okapi(texts)
    theirs = [_bm25_rank(ranking, one) for one in looked]
    ratio = _mean(ours) / _mean(theirs)
    print(f"\n{'mean reciprocal rank':26}{'search':>8}{'BM25':>8}{'ratio':>8}")
    print(
        f"{f'{QUERIES} of {len(texts):,} messages':26}{_mean(ours):>8.3f}{_mean(theirs):>8.3f}{ratio:>8.2f}", end="   "
    )
    print(at_least(ratio, BESIDE_BM25))
    print(f"{f'among the first {FIRST}':26}{_found(ours):>8.3f}{_found(theirs):>8.3f}")


def transcripts(file: Path) -> list[list[dict[str, Any]]]:
    """Returns the transcripts of a file."""
    content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    return [record.get("messages") or record["traj"] for record in msgspec.json.decode(content)]


async def _load(queries: Queries, all_messages: list[list[dict[str, Any]]]) -> None:
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


def _draw(texts: list[list[str]]) -> list[Looked]:
    """Draws two to four words of a message that has at least four words that are not stop words."""
    drawn, looked, stop_words = random.Random(20261122), list[Looked](), set(_STOP_WORDS.split())
    while len(looked) < QUERIES:
        number = drawn.randrange(len(texts))
        words = sorted({word for word in texts[number] if word not in stop_words and len(word) > 2})
        if len(words) >= 4:
            looked.append(Looked(number, " ".join(drawn.sample(words, drawn.randint(2, 4)))))
    return looked


async def _rank(queries: Queries, q: str, place: Place) -> int:
    """Returns the rank of the message by the service's own query, from 1, or 0 if it is not among the first."""
    rows = await queries.search.list_messages(actor_id=USER, q=q, **(ARGUMENTS | {"limit": FIRST}))
    found = [(row["session_id"], row["seq"]) for row in rows]
    return found.index(place) + 1 if place in found else 0


def _bm25_rank(ranking: BM25Okapi, looked: Looked) -> int:
    best = np.argsort(-ranking.get_scores(_tokens(looked.q)), kind="stable")[:FIRST].tolist()
    return best.index(looked.number) + 1 if looked.number in best else 0


def _tokens(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _mean(ranks: list[int]) -> float:
    return sum(1 / rank for rank in ranks if rank) / len(ranks)


def _found(ranks: list[int]) -> float:
    return sum(map(bool, ranks)) / len(ranks)
