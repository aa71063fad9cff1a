"""The databases of the search benchmark: the generated corpus, kept between runs, and copies for what writes."""

import contextlib
import hashlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg

from amplifier import paths
from amplifier.postgres import embedded
from amplifier.schema import migrate
from benchmarks.search_generator import (
    EVERYONE,
    PARAMETERS,
    SIZES,
    Integers,
    Message,
    chunks,
    moment,
    participants,
    session_id,
    session_rows,
    users,
)
from benchmarks.search_words import VOCABULARY, vocabulary

PARTS = 2  # processes that load
CHECKED = 100  # messages whose words are compared with those that the trigger derives

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
    "chunk": "session_id, seq, role, text, created_at",
    "bench.words": "word, messages",
}
# The texts are plain words, so that what is searched of them is known without the trigger, in less time.
_ADD_CHUNK = f"""
insert into messages (
    session_id, seq, role, message, author_user_id, author_app_id, created_at, search, search_revision
)
select
    session_id,
    seq,
    role,
    format('{{"role": "%s", "content": "%s"}}', role, text)::jsonb,
    '{EVERYONE}',
    'bench',
    created_at,
    setweight(to_tsvector('english', text), 'A'),
    search_revision('english')
from chunk
"""
_STALE = """
with derived as (
    update messages
    set search_revision = null
    where (session_id, seq) in (select session_id, seq from messages where random() < %s limit %s)
    returning session_id, seq, search, search_revision
)

select count(*)
from derived
inner join messages as m using (session_id, seq)
where (m.search, m.search_revision) is distinct from (derived.search, derived.search_revision)
"""


@contextlib.contextmanager
def server(home: Path) -> Iterator[str]:
    """The address of an embedded PostgreSQL with shared buffers of 2 GB, as a database of this size would be given."""
    with embedded.running(home, "amplifier-api") as dsn, psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("alter system set shared_buffers = '2GB'")
        owner.execute("alter system set max_wal_size = '8GB'")
    with embedded.running(home, "amplifier-api") as dsn:
        yield dsn


def database(dsn: str, name: str) -> str:
    """Returns the address of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


class Corpus(NamedTuple):
    """A server, the name of the database with the corpus, the number of its messages, and a folder for what is kept."""

    server: str
    name: str
    messages: int
    folder: Path

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


def build(server_dsn: str, messages: int, folder: Path) -> Corpus:
    """Returns the corpus. Builds it unless an earlier run with the same parameters has left it, which it migrates."""
    key = hashlib.sha256(repr(PARAMETERS).encode()).hexdigest()[:8]
    corpus = Corpus(server_dsn, f"corpus_{messages}_{key}", messages, folder)
    with psycopg.connect(server_dsn, autocommit=True) as owner:
        if owner.execute("select from pg_database where datname = %s", (corpus.name,)).fetchone() is None:
            owner.execute("drop database if exists unfinished with (force)")
            owner.execute("create database unfinished")
            migrate.migrate(database(server_dsn, "unfinished"))
            _fill(database(server_dsn, "unfinished"), messages)
            owner.execute(f"alter database unfinished rename to {corpus.name}".encode())
    migrate.migrate(corpus.dsn)
    return corpus


def _fill(dsn: str, messages: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("drop index messages_search_idx")
        with _timed("sessions and participants"):
            owner.execute("insert into users (user_id) select unnest(%s::text[])", ([*_everybody(), EVERYONE],))
            owner.execute(_CONFIGS, (EVERYONE,))
            copy_rows(owner, "sessions", session_rows(messages))
            copy_rows(owner, "session_participants", participants(messages))
        with _timed(f"{messages:,} messages"):
            counts = _load_messages(dsn, messages)
        with _timed("messages_search_idx"):
            owner.execute("set maintenance_work_mem = '1GB'")
            owner.execute(index_statement().encode())
        with _timed("vacuum analyze"):
            owner.execute("create schema bench")
            owner.execute("create table bench.words (word text primary key, messages integer not null)")
            copy_rows(owner, "bench.words", zip(vocabulary(), counts.tolist(), strict=False))
            owner.execute("vacuum analyze")
            owner.execute("checkpoint")
        _check(owner, messages)


def index_statement() -> str:
    """Returns the statement with which the migration creates the index."""
    text = (paths.folder("migrations") / "0017-messages-index_search.sql").read_text()
    return text[text.index("create index") :]


def _everybody() -> list[str]:
    return [user for size in SIZES for user in users(size)]


def _load_messages(dsn: str, messages: int) -> Integers:
    """Loads the messages with two processes. Returns the number of messages with each word."""
    with ProcessPoolExecutor(PARTS, mp_context=get_context("spawn")) as pool:
        parts = pool.map(_load_part, [dsn] * PARTS, [messages] * PARTS, range(PARTS))
        return sum(parts, np.zeros(VOCABULARY, np.int64))


def _load_part(dsn: str, messages: int, part: int) -> Integers:
    counts = np.zeros(VOCABULARY, np.int64)
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("set synchronous_commit = off; set session_replication_role = replica")
        owner.execute(
            "create temporary table chunk (session_id text, seq bigint, role text, text text, created_at timestamptz)"
        )
        for added, counted in chunks(messages, part, PARTS):
            counts += counted
            owner.execute("truncate chunk")
            copy_rows(owner, "chunk", map(_row, added))
            owner.execute(_ADD_CHUNK.encode())
    return counts


def _row(message: Message) -> tuple[str, int, str, str, str]:
    role = "user" if message.seq % 2 else "assistant"
    return session_id(message.session), message.seq, role, message.text, moment(message.number)


def _check(owner: psycopg.Connection[Any], messages: int) -> None:
    """Lets the trigger derive the words of some messages again, and compares."""
    with owner.transaction(force_rollback=True):
        (stale,) = owner.execute(_STALE, (2 * CHECKED / messages, CHECKED)).fetchone() or (0,)
        assert stale == 0, f"the trigger derives other words for {stale} messages"


def copy_rows(owner: psycopg.Connection[Any], table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Copies rows into a table of `_COLUMNS`."""
    with owner.transaction(), owner.cursor().copy(f"copy {table} ({_COLUMNS[table]}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:.0f} s", flush=True)
