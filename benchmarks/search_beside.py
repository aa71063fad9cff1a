"""Measures tantivy and SQLite's FTS5 beside the search: the same messages, words, users and sessions.

They return the 20 best of all matches by BM25, as (session, number), and have neither rights nor headlines. Without the
package tantivy (`pip install "tantivy>=0.27,<0.28"`) FTS5 is measured alone.
"""

import contextlib
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.search_corpus import Corpus
from benchmarks.search_queries import PERSONS, Call, _in_turns, _on_database, connected, terms

BEST = 20
BATCH = 50_000  # documents
WRITER_BYTES, CACHE_BYTES = 256 * 2**20, 512 * 2**20
MOST_IN_MEMORY = 2_000_000  # messages
KINDS = ("rare", "middling", "most common", "two common", "phrase of two common")
MOST_TIMES, FEW_SESSIONS, FEW_MS = 2.0, 10, 3.0
_TEXTS = "select session_id, seq, message ->> 'content' from messages order by created_at"
_SESSIONS = "select session_id from session_participants where user_id = %s"

Search = Callable[[list[str], str], Any]  # of sessions and typed words


async def beside(corpus: Corpus) -> None:
    """Prints medians in milliseconds of the search on the database and of the others, in turns."""
    kinds = terms(corpus)
    sessions = _sessions_of(corpus)
    with _fts5(corpus) as fts5:
        others = {"FTS5": fts5, **_tantivy(corpus)}
        async with connected(corpus.dsn) as queries, queries.database.connection() as connection:
            await connection.execute("set plan_cache_mode = force_generic_plan")
            calls = _on_database(queries, connection), *(_call(search, sessions) for search in others.values())
            print(f"\n{'median, ms':24}{'sessions':>10}{'ours':>9}" + "".join(f"{name:>18}" for name in others))
            for kind in KINDS:
                for size in PERSONS:
                    times = [statistics.median(column) for column in await _in_turns(calls, kinds[kind], size)]
                    print(_row(kind, size, times, list(others)), flush=True)


def _row(kind: str, size: int, times: list[float], names: list[str]) -> str:
    ours, *theirs = times
    fastest = min(
        (median for name, median in zip(names, theirs, strict=True) if name.startswith("tantivy")), default=None
    )
    if size <= FEW_SESSIONS:
        is_met, limit = ours <= FEW_MS, f"at most {FEW_MS:g} ms"
    else:
        most = 1.0 if kind == "rare" else MOST_TIMES
        is_met, limit = fastest is None or ours <= most * fastest, f"at most {most:g} times tantivy"
    cells = "".join(f"{median:>10.1f} ({ours / median:>4.1f})" for median in theirs)
    return f"{kind:24}{size:>10,}{ours:>9.1f}{cells}   {limit}{'' if is_met else ' (MISSED)'}"


def _sessions_of(corpus: Corpus) -> Callable[[str], list[str]]:
    """Returns the sessions of a user, which the others are given; looking them up is not measured."""
    known: dict[str, list[str]] = {}

    def find(user: str) -> list[str]:
        if user not in known:
            with psycopg.connect(corpus.dsn) as owner:
                known[user] = [row[0] for row in owner.execute(_SESSIONS, (user,))]
        return known[user]

    return find


def _call(search: Search, sessions_of: Callable[[str], list[str]]) -> Call:
    async def measure(user: str, q: str) -> float:
        sessions = sessions_of(user)
        started = time.perf_counter()
        search(sessions, q)
        return (time.perf_counter() - started) * 1000

    return measure


def _texts(corpus: Corpus) -> Iterator[list[tuple[str, int, str]]]:
    """Yields all messages by batches."""
    with psycopg.connect(corpus.dsn) as owner, owner.cursor(name="texts") as cursor:
        cursor.execute(_TEXTS)
        while rows := cursor.fetchmany(BATCH):
            yield rows


@contextlib.contextmanager
def _fts5(corpus: Corpus) -> Iterator[Search]:
    """Yields the search of an FTS5 table without a copy of the texts. Its row ids say the session and the number."""
    file = corpus.folder / f"{corpus.name}.fts5"
    _make(file, partial(_fill_fts5, corpus))
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute(f"pragma cache_size = -{CACHE_BYTES // 1024}")

        def search(sessions: list[str], q: str) -> Any:
            marks = ", ".join("?" * len(sessions))
            statement = f"""
                select p.session, p.seq, f.rank
                from found as f
                inner join places as p on p.id = f.rowid
                where f.text match ? and p.session in ({marks})
                order by f.rank
                limit {BEST}
            """
            return database.execute(statement, (q, *sessions)).fetchall()

        yield search


def _fill_fts5(corpus: Corpus, file: Path) -> None:
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("pragma journal_mode = off")
        database.execute(f"pragma cache_size = -{CACHE_BYTES // 1024}")
        database.execute("create table places (id integer primary key, session text, seq integer)")
        database.execute("create virtual table found using fts5(text, content='', detail=full)")
        first = 0
        for rows in _texts(corpus):
            places = ((first + number, session, seq) for number, (session, seq, _) in enumerate(rows))
            database.executemany("insert into places values (?, ?, ?)", places)
            texts = ((first + number, text) for number, (_, _, text) in enumerate(rows))
            database.executemany("insert into found (rowid, text) values (?, ?)", texts)
            first += len(rows)
        database.execute("insert into found (found) values ('optimize')")
        database.execute("create index places_session on places (session)")
        database.commit()


def _tantivy(corpus: Corpus) -> dict[str, Search]:
    """Returns the searches of tantivy, in a folder and, if the corpus is no larger than that, in memory."""
    try:
        import tantivy
    except ImportError:
        print("without tantivy: pip install 'tantivy>=0.27,<0.28'")
        return {}
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", index_option="position")
    builder.add_text_field("session", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_integer_field("seq", stored=True)
    schema = builder.build()
    folder = corpus.folder / f"{corpus.name}.tantivy"

    def fill(index: Any) -> Any:
        writer = index.writer(WRITER_BYTES, 1)
        for rows in _texts(corpus):
            for session, seq, text in rows:
                writer.add_document(tantivy.Document(text=text, session=session, seq=seq))
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        return index

    def fill_folder(unfinished: Path) -> None:
        unfinished.mkdir()
        fill(tantivy.Index(schema, path=str(unfinished)))

    def searching(index: Any) -> Search:
        searcher = index.searcher()

        def search(sessions: list[str], q: str) -> Any:
            mine = tantivy.Query.const_score_query(tantivy.Query.term_set_query(schema, "session", sessions), 0.0)
            words = index.parse_query(q, ["text"], conjunction_by_default=True)
            both = tantivy.Query.boolean_query([(tantivy.Occur.Must, words), (tantivy.Occur.Must, mine)])
            return [searcher.doc(address).to_dict() for _, address in searcher.search(both, BEST).hits]

        return search

    _make(folder, fill_folder)
    found = {"tantivy on disk": searching(tantivy.Index(schema, path=str(folder)))}
    if corpus.messages <= MOST_IN_MEMORY:
        found["tantivy in memory"] = searching(fill(tantivy.Index(schema)))
    return found


def _make(path: Path, fill: Callable[[Path], None]) -> None:
    """Makes a file or folder unless an earlier run has left it."""
    if path.exists():
        return
    unfinished = path.with_suffix(".unfinished")
    if unfinished.is_dir():
        shutil.rmtree(unfinished)
    unfinished.unlink(missing_ok=True)
    fill(unfinished)
    unfinished.rename(path)
