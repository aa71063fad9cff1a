"""The corpus of the search benchmark: a million messages of a made-up language whose words are as frequent as English ones.

Half of the words (45 %) are English stop words, the others follow Zipf and Mandelbrot. It is the same in each run.
"""

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import psycopg
from numpy.typing import NDArray

from amplifier import embedded, schema

EVERYONE = "user-everyone"  # takes part in all sessions
SIZES = {2000: 5, 500: 15, 10: 20, 40: 960}  # sessions of a user: how many have so many
LENGTH = 50  # messages of a session in the mean
ACTIVE = 300  # sessions at a time
CHUNK = 10_000  # messages in a transaction
SEED = 20261122

VOCABULARY, STOP_SHARE = 150_000, 0.45
EXPONENT, SHIFT = 1.05, 31  # with these the most frequent word is in 13 % of the messages
STOP_WORDS = (
    "the of and to a in is it you that he was for on are with as I his they be at this have from or had by but what all "
    "were we when your can there an each which she do how their if will up other about out many then them these so some"
).split()

_SEED_ROWS = """
insert into users (user_id) select unnest(%(users)s::text[]);

insert into configs (config_id, name, config_json, user_id)
select 'config-' || n, 'bench', '{}', %(everyone)s from generate_series(0, 199) as n;
"""
_COLUMNS = {
    "sessions": "session_id, config_id, owner_user_id, created_by_app_id, title, tags, message_count, last_seq, created_at",
    "session_participants": "session_id, user_id, role",
    "messages": "session_id, seq, message, author_user_id, author_app_id, created_at",
    "bench.words": "word, messages",
}


class Plan(NamedTuple):
    """Which session each message belongs to, in the order of time, and its number there."""

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
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextlib.contextmanager
def made(dsn: str, name: str, template: str = "template1") -> Iterator[str]:
    """The address of a new database, a copy of `template`; dropped in the end."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(f"drop database if exists {name} with (force)")
        owner.execute(f"create database {name} template {template} strategy file_copy")
        try:
            yield database(dsn, name)
        finally:
            owner.execute(f"drop database if exists {name} with (force)")


def build(server_dsn: str, messages: int) -> str:
    """The address of the database with the corpus; made, unless it is there from a run before."""
    name = f"corpus_{messages}"
    with psycopg.connect(server_dsn, autocommit=True) as owner:
        if owner.execute("select from pg_database where datname = %s", (name,)).fetchone() is None:
            owner.execute("drop database if exists unfinished")
            owner.execute("create database unfinished")
            schema.migrate(database(server_dsn, "unfinished"))
            _fill(database(server_dsn, "unfinished"), messages)
            owner.execute(f"alter database unfinished rename to {name}")
    return database(server_dsn, name)


def users(size: int) -> list[str]:
    """The users that take part in so many sessions."""
    return [f"user-{size}-{number}" for number in range(SIZES[size])]


def texts(number: int) -> list[str]:
    """Texts that are like those of the corpus and not in it."""
    return _texts(np.random.default_rng([SEED, VOCABULARY]), number)[0]


def recent_sessions(messages: int) -> list[str]:
    """The sessions that were active at last."""
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
            _copy(owner, "bench.words", zip(_words(), counts.tolist(), strict=False))
            owner.execute("vacuum analyze")
            owner.execute("checkpoint")


def index_statement() -> str:
    """What the migration makes the index with."""
    text = (schema.share("migrations") / "0017-messages-index_search.sql").read_text()
    return text[text.index("create index") :]


def _plan(messages: int) -> Plan:
    """Skewed sizes; sessions begin one after the other and end the later the longer they are."""
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
    random, sizes = np.random.default_rng([SEED, 1]), np.bincount(plan.sessions)
    begun = np.unique(plan.sessions, return_index=True)[1]
    titles = random.choice(VOCABULARY, (len(sizes), 3))
    words = _words()
    everybody = [user for size in SIZES for user in users(size)]
    owner.execute(_SEED_ROWS.partition("\n\n")[0], {"users": [*everybody, EVERYONE]})
    owner.execute(_SEED_ROWS.partition("\n\n")[2], {"everyone": EVERYONE})
    _copy(
        owner,
        "sessions",
        (
            (
                _session(number),
                f"config-{number % 200}",
                EVERYONE,
                "bench",
                " ".join(words[word] for word in titles[number]),
                f'{{"number": "{number % 10}"}}',
                (size + 1) // 2,
                size,
                _moment(begun[number]),
            )
            for number, size in enumerate(sizes.tolist())
        ),
    )
    _copy(owner, "session_participants", _participants(random, len(sizes)))


def _participants(random: np.random.Generator, sessions: int) -> Iterator[tuple[str, str, str]]:
    yield from ((_session(number), EVERYONE, "owner") for number in range(sessions))
    for size in SIZES:
        for user in users(size):
            for number in random.choice(sessions, min(size, sessions), replace=False):
                yield _session(number), user, "owner" if random.random() < 0.9 else "viewer"


def _load_messages(dsn: str, plan: Plan) -> NDArray[np.int64]:
    """Two processes, one for each half of the time; gives in how many messages each word is."""
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
            contents, counted = _texts(random, len(numbers))
            counts += counted
            rows = zip(numbers.tolist(), places.tolist(), contents, strict=True)
            _copy(owner, "messages", (_message(first + start + n, *row) for n, row in enumerate(rows)))
    return counts


def _message(number: int, session: int, seq: int, text: str) -> tuple[Any, ...]:
    message = f'{{"role": "{"user" if seq % 2 else "assistant"}", "content": "{text}"}}'
    return _session(session), seq, message, EVERYONE, "bench", _moment(number)


def _texts(random: np.random.Generator, number: int) -> tuple[list[str], NDArray[np.int64]]:
    """Texts, and in how many of them each word of the vocabulary is."""
    words, cumulated = _words(), _cumulated()
    lengths = np.maximum(3, random.lognormal(3.83, 0.7, number).astype(np.int64))
    drawn = np.minimum(np.searchsorted(cumulated, random.random(lengths.sum())), len(words) - 1)
    pairs = np.unique(np.repeat(np.arange(number), lengths) * len(words) + drawn)
    ends = np.cumsum(lengths).tolist()
    typed = [words[word] for word in drawn.tolist()]
    contents = [" ".join(typed[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
    return contents, np.bincount(pairs % len(words), minlength=len(words))[:VOCABULARY]


@cache
def _words() -> list[str]:
    return [_word(number + 400) + "kpgb"[number % 4] for number in range(VOCABULARY)] + STOP_WORDS


def _word(number: int) -> str:
    """Syllables; what is behind them in the end has no stem."""
    word = ""
    while number or not word:
        number, consonant = divmod(number, 16)
        number, vowel = divmod(number, 5)
        word += "bcdfghklmnprstvz"[consonant] + "aeiou"[vowel]
    return word


@cache
def _cumulated() -> NDArray[np.float64]:
    weights = 1 / (np.arange(VOCABULARY) + SHIFT) ** EXPONENT
    stop = np.full(len(STOP_WORDS), STOP_SHARE / len(STOP_WORDS))
    return np.cumsum(np.concatenate([weights / weights.sum() * (1 - STOP_SHARE), stop]))


def _copy(owner: psycopg.Connection[Any], table: str, rows: Any) -> None:
    with owner.transaction(), owner.cursor().copy(f"copy {table} ({_COLUMNS[table]}) from stdin") as copy:
        for row in rows:
            copy.write_row(row)


def _session(number: int) -> str:
    return f"session-{number:06}"


def _moment(number: int) -> str:
    """A message every thirty seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(1_750_000_000 + int(number) * 30))


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what}: {time.perf_counter() - started:.0f} s", flush=True)
