"""Measures how searches find messages by identifiers, their parts and paths, compared with BM25 on the same texts.

The corpora are those of the ranking, and the session files (`*.jsonl`) of AGENT_SESSIONS, a folder. An identifier is
asked for that at most five messages have, and the message that it was drawn from is to be found. BM25 gets the parts of
identifiers as words, too.
"""

import json
import os
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psycopg
from rank_bm25 import BM25Okapi

from amplifier.schema import migrate
from benchmarks.code_sessions import code_sessions
from benchmarks.figures import at_least
from benchmarks.search_corpus import made
from benchmarks.search_queries import connected
from benchmarks.search_relevance import FIRST, TEXTS, Transcript, load, mean, rank

QUERIES, FEW = 300, 5
BESIDE_BM25 = 1.0
_CAMEL = re.compile(r"\b(?=[A-Za-z0-9]*[a-z][A-Z])[A-Za-z][A-Za-z0-9]{5,39}\b")
_SNAKE = re.compile(r"\b[a-z][a-z0-9]+(?:_[a-z0-9]+)+\b")
_PATH = re.compile(r"(?:[A-Za-z0-9_-]+/)+[A-Za-z0-9_-]+[.][a-z]{1,5}\b")
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[A-Za-z0-9]+")


async def identifiers(server_dsn: str) -> None:
    """Prints the mean reciprocal rank of both among the first ten, for each kind of query and corpus."""
    corpora = {"code sessions": code_sessions()}
    if "AGENT_SESSIONS" in os.environ:
        corpora["session files"] = session_files(Path(os.environ["AGENT_SESSIONS"]))
    else:
        print("\nidentifiers in session files: skipped, AGENT_SESSIONS names no folder")
    for name, sessions in corpora.items():
        await _compare(server_dsn, name, sessions)


def session_files(folder: Path) -> list[Transcript]:
    """Returns the messages of the files of Claude Code and Codex."""
    return [found for file in sorted(folder.rglob("*.jsonl")) if (found := _messages(file.read_text().splitlines()))]


def _messages(lines: list[str]) -> Transcript:
    entries = [json.loads(line) for line in lines if line.strip()]
    inner = [entry.get("message") or entry.get("payload") for entry in entries]
    kept = [one for one in inner if isinstance(one, dict) and ("role" in one or str(one.get("type")) in _ITEMS)]
    return [one if "role" in one else {"role": "assistant", **one} for one in kept]


_ITEMS = ("function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output")


async def _compare(server_dsn: str, name: str, sessions: list[Transcript]) -> None:
    with made(server_dsn, "identifiers") as dsn:
        migrate.migrate(dsn)
        async with connected(dsn) as queries:
            await load(queries, sessions)
            with psycopg.connect(dsn, autocommit=True) as owner:
                owner.execute("vacuum analyze")
                rows = owner.execute(TEXTS).fetchall()
            places, texts = [row[:2] for row in rows], [row[2] for row in rows]
            ranking = BM25Okapi([_tokens(text) for text in texts])
            print(f"\n{f'{name}, {len(texts):,} messages':36}{'queries':>8}{'search':>8}{'BM25':>8}{'ratio':>8}")
            for kind, (pattern, ask) in KINDS.items():
                looked = _drawn(texts, pattern, ask)
                ours = [await rank(queries, q, places[number]) for q, number in looked]
                theirs = [_bm25_rank(ranking, q, number) for q, number in looked]
                _report(kind, ours, theirs)


def _drawn(texts: list[str], pattern: re.Pattern[str], ask: Callable[[str], str]) -> list[tuple[str, int]]:
    """Returns queries made of identifiers that few messages have, each with the number of a message."""
    found = [sorted(set(pattern.findall(text))) for text in texts]
    counts = Counter(one.lower() for names in found for one in names)
    rare = [(one, number) for number, names in enumerate(found) for one in names if counts[one.lower()] <= FEW]
    chosen = random.Random(20261201).sample(rare, min(QUERIES, len(rare)))
    return [(ask(one), number) for one, number in chosen]


def _report(kind: str, ours: list[int], theirs: list[int]) -> None:
    if not ours:
        return print(f"{kind:36}{0:>8}")
    ratio = mean(ours) / max(mean(theirs), 0.001)
    figures = f"{len(ours):>8}{mean(ours):>8.3f}{mean(theirs):>8.3f}{ratio:>8.2f}"
    return print(f"{kind:36}{figures}   {at_least(ratio, BESIDE_BM25)}", flush=True)


def _bm25_rank(ranking: BM25Okapi, q: str, number: int) -> int:
    best = np.argsort(-ranking.get_scores(_tokens(q)), kind="stable")[:FIRST].tolist()
    return best.index(number) + 1 if number in best else 0


def _tokens(text: str) -> list[str]:
    """Returns the words of a text, and the parts of those in which the case changes."""
    words = [_CASE.split(word) for word in _WORD.findall(text)]
    return [one.lower() for parts in words for one in (["".join(parts), *parts] if len(parts) > 1 else parts)]


def _parts(identifier: str) -> list[str]:
    return [part for word in identifier.split("_") for part in _CASE.split(word)]


KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], str]]] = {
    "whole, aB": (_CAMEL, str),
    "whole, lower case": (_CAMEL, str.lower),
    "parts of aB": (_CAMEL, lambda one: " ".join(_parts(one)).lower()),
    "parts of aB, as a_b": (_CAMEL, lambda one: "_".join(_parts(one)).lower()),
    "two parts of aB": (_CAMEL, lambda one: " ".join(_parts(one)[:2]).lower()),
    "whole, a_b": (_SNAKE, str),
    "parts of a_b": (_SNAKE, lambda one: one.replace("_", " ")),
    "end of a path": (_PATH, lambda one: "/".join(one.split("/")[-2:])),
    "name of a file, lower case": (_PATH, lambda one: one.split("/")[-1].lower()),
}
