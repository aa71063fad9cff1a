"""The corpus of the search benchmark: a million messages with a realistic distribution, the same in each run."""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import numpy as np
import psycopg
from numpy.typing import NDArray

from amplifier import paths
from amplifier.postgres import embedded
from amplifier.schema import migrate
from benchmarks.search_words import VOCABULARY, counted_texts, vocabulary

EVERYONE = "user-everyone"  # takes part in all sessions
SIZES = {2000: 5, 500: 15, 10: 20, 40: 960}  # number of sessions: number of users with so many sessions
LENGTH = 50  # messages of a session in the mean
ACTIVE = 300  # sessions at a time
CHUNK = 10_000  # messages in a transaction
TWO_PROCESSES = 500_000  # messages
SEED = 20261122

_CONFIGS = """
insert into configs (config_id, name, config_json, user_id)
select 'config-' || n, 'bench', '{}', %s from generate_series(0, 199) as n
"""
_COLUMNS = {
    "sessions": (
        "session_id, config_id, owner_user_id, created_by_app_id, title, tags, message_count, last_seq, created_at, "
        "updated_at"
    ),
    "session_participants": "session_id, user_id, role",
    "messages": "session_id, seq, message, author_user_id, author_app_id, created_at",
    "bench.words": "word, messages",
}


class Plan(NamedTuple):
    """The session of each message, in the order of time, and its number in the session."""

    sessions: NDArray[np.int64]
    seqs: NDArray[np.int64]


@contextlib.contextmanager
def server(home: Path) -> Iterator[str]:
    """The address of an embedded PostgreSQL with shared buffers of 2 GB, as a database of this size would be given."""
    with embedded.running(home, "amplifier-api") as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("alter system set shared_buffers = '2GB'")
    with embedded.running(home, "amplifier-api") as dsn:
        yield dsn


def database(dsn: str, name: str) -> str:
    """Returns the address of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


class Corpus(NamedTuple):
    """A server, the name of the database with the corpus, and the number of its messages."""

    server: str
    name: str
    messages: int

    @property
    def dsn(self) -> str:
        """The address of the database."""
        return database(self.server, self.name)

    def copy(self, name: str) -> contextlib.AbstractContextManager[str]:
        """Creates a copy for measurements that write, and yields its address."""
        return made(self.server, name, self.name)


@contextlib.contextmanager
def made(server_dsn: str, name: str, template: str = "template1") -> Iterator[str]:
    """Creates a database and yields its address. Drops it at the end."""
    with psycopg.connect(server_dsn, autocommit=True) as owner:
        owner.execute(f"drop database if exists {name} with (force)".encode())
        owner.execute(f"create database {name} template {template} strategy file_copy".encode())
        try:
            yield database(server_dsn, name)
        finally:
            owner.execute(f"drop database {name} with (force)".encode())


def build(server_dsn: str, messages: int) -> Corpus:
    """Returns the corpus. Builds it unless an earlier run has left it."""
    corpus = Corpus(server_dsn, f"corpus_{messages}", messages)
    with psycopg.connect(server_dsn, autocommit=True) as owner:
        if owner.execute("select from pg_database where datname = %s", (corpus.name,)).fetchone() is None:
            owner.execute("drop database if exists unfinished")
            owner.execute("create database unfinished")
            migrate.migrate(database(server_dsn, "unfinished"))
            _fill(database(server_dsn, "unfinished"), messages)
            owner.execute(f"alter database unfinished rename to {corpus.name}".encode())
    return corpus


def users(size: int) -> list[str]:
    """Returns the users that take part in so many sessions."""
    return [f"user-{size}-{number}" for number in range(SIZES[size])]


def recent_sessions(messages: int) -> list[str]:
    """Returns the sessions that were active last."""
    count = messages // LENGTH
    return [_session(number) for number in range(max(0, count - ACTIVE), count)]


def _fill(dsn: str, messages: int) -> None:
    plan = _plan(messages)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("drop index messages_search_idx")
        with _timed("sessions and participants"):
            _copy_sessions(owner, plan)
        with _timed(f"{messages:,} messages, with the trigger"):
            counts = _load_messages(dsn, plan)
        with _timed("messages_search_idx"):
            owner.execute("set maintenance_work_mem = '512MB'")
            owner.execute(index_statement().encode())
        with _timed("vacuum analyze"):
            owner.execute("create schema bench")
            owner.execute("create table bench.words (word text primary key, messages integer not null)")
            _copy(owner, "bench.words", zip(vocabulary(), counts.tolist(), strict=False))
            owner.execute("vacuum analyze")
            owner.execute("checkpoint")


def index_statement() -> str:
    """Returns the statement with which the migration creates the index."""
    text = (paths.folder("migrations") / "0017-messages-index_search.sql").read_text()
    return text[text.index("create index") :]


def _plan(messages: int) -> Plan:
    """Returns a plan with skewed sizes. Sessions begin one after the other, and longer ones end later."""
    random, count = np.random.default_rng(SEED), messages // LENGTH
    sizes = random.lognormal(0, 1, count)
    sizes = np.maximum(1, np.rint(sizes * messages / sizes.sum())).astype(np.int64)
    sessions = np.repeat(np.arange(count), sizes)
    begun = sessions * (messages / count)
    order = np.argsort(begun + random.random(len(sessions)) * sizes[sessions] * min(ACTIVE, count / 4))
    seqs = np.arange(len(sessions)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    by_time = sessions[order]
    numbered = np.empty_like(seqs)
    numbered[np.argsort(by_time, kind="stable")] = seqs
    return Plan(by_time, numbered)


def _copy_sessions(owner: psycopg.Connection[Any], plan: Plan) -> None:
    random, everybody = np.random.default_rng([SEED, 1]), [user for size in SIZES for user in users(size)]
    owner.execute("insert into users (user_id) select unnest(%s::text[])", ([*everybody, EVERYONE],))
    owner.execute(_CONFIGS, (EVERYONE,))
    _copy(owner, "sessions", _session_rows(random, plan))
    _copy(owner, "session_participants", _participants(random, plan.sessions.max() + 1))


def _session_rows(random: np.random.Generator, plan: Plan) -> Iterator[tuple[Any, ...]]:
    words, sizes = vocabulary(), np.bincount(plan.sessions)
    begun = np.unique(plan.sessions, return_index=True)[1]
    ended = len(plan.sessions) - 1 - np.unique(plan.sessions[::-1], return_index=True)[1]
    for number, size in enumerate(sizes.tolist()):
        title = " ".join(words[word] for word in random.choice(VOCABULARY, 3))
        ours = _session(number), f"config-{number % 200}", EVERYONE, "bench", title, f'{{"number": "{number % 10}"}}'
        yield *ours, (size + 1) // 2, size, _moment(begun[number]), _moment(ended[number])


def _participants(random: np.random.Generator, sessions: int) -> Iterator[tuple[str, str, str]]:
    yield from ((_session(number), EVERYONE, "owner") for number in range(sessions))
    for size in SIZES:
        for user in users(size):
            for number in random.choice(sessions, min(size, sessions), replace=False):
                yield _session(number), user, "owner" if random.random() < 0.9 else "viewer"


def _load_messages(dsn: str, plan: Plan) -> NDArray[np.int64]:
    """Loads the messages, many with two processes. Returns the number of messages with each word."""
    if len(plan.sessions) < TWO_PROCESSES:  # many sessions would be in both halves, and deadlock
        return _load_part(dsn, 0, plan.sessions, plan.seqs)
    half = len(plan.sessions) // 2
    parts = ((0, plan.sessions[:half], plan.seqs[:half]), (half, plan.sessions[half:], plan.seqs[half:]))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_load_part, [dsn] * 2, *zip(*parts, strict=True)), np.zeros(VOCABULARY, np.int64))


def _load_part(dsn: str, first: int, sessions: NDArray[np.int64], seqs: NDArray[np.int64]) -> NDArray[np.int64]:
    random, counts = np.random.default_rng([SEED, 2, first]), np.zeros(VOCABULARY, np.int64)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("set synchronous_commit = off")
        for start in range(0, len(sessions), CHUNK):
            numbers, places = sessions[start : start + CHUNK], seqs[start : start + CHUNK]
            contents, counted = counted_texts(random, len(numbers))
            counts += counted
            rows = zip(numbers.tolist(), places.tolist(), contents, strict=True)
            _copy(owner, "messages", (_message(first + start + n, *row) for n, row in enumerate(rows)))
    return counts


def _message(number: int, session: int, seq: int, text: str) -> tuple[Any, ...]:
    message = f'{{"role": "{"user" if seq % 2 else "assistant"}", "content": "{text}"}}'
    return _session(session), seq, message, EVERYONE, "bench", _moment(number)


def _copy(owner: psycopg.Connection[Any], table: str, rows: Any) -> None:
    with owner.transaction(), owner.cursor().copy(f"copy {table} ({_COLUMNS[table]}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)


@cache
def _session(number: int) -> str:
    """Returns a session's id. Ids are random and have no order in time."""
    return str(UUID(bytes=np.random.default_rng([SEED, 3, number]).bytes(16), version=4))


def _moment(number: int) -> str:
    """Returns the time of a message, one every thirty seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(1_750_000_000 + int(number) * 30))


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:.0f} s", flush=True)
