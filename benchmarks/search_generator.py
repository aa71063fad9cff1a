"""Generates the corpus of the search benchmark: the same sessions and messages in each run, in bounded memory."""

import time
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_words import EXPONENT, SHIFT, STOP_SHARE, VOCABULARY, counted_texts, vocabulary

EVERYONE = "user-everyone"  # takes part in all sessions
SIZES = {2000: 5, 500: 15, 10: 20, 40: 960}  # number of sessions: number of users with so many sessions
LENGTH = 50  # messages of a session in the mean
ACTIVE = 300  # sessions at a time
CHUNK = 10_000  # messages in a transaction
BEGINNING = 1_000  # sessions that are planned together
SEED = 20261122
PARAMETERS = (SIZES, LENGTH, ACTIVE, CHUNK, BEGINNING, SEED, VOCABULARY, EXPONENT, SHIFT, STOP_SHARE)

Integers = NDArray[np.int64]


class Message(NamedTuple):
    """A message of the corpus."""

    number: int  # in the order of time, from 0
    session: int
    seq: int
    text: str


def users(size: int) -> list[str]:
    """Returns the users that take part in so many sessions."""
    return [f"user-{size}-{number}" for number in range(SIZES[size])]


def recent_sessions(messages: int) -> list[str]:
    """Returns the sessions that were active last."""
    count = messages // LENGTH
    return [session_id(number) for number in range(max(0, count - ACTIVE), count)]


@cache
def session_id(number: int) -> str:
    """Returns a session's id. Ids are random and have no order in time."""
    return str(UUID(bytes=np.random.default_rng([SEED, 3, number]).bytes(16), version=4))


def moment(number: int) -> str:
    """Returns the time of a message, one every thirty seconds."""
    return time.strftime("%Y-%m-%d %H:%M:%S+00", time.gmtime(1_750_000_000 + int(number) * 30))


def session_sizes(messages: int) -> Integers:
    """Returns the number of messages of each session, skewed; their sum is near `messages`."""
    sizes = np.random.default_rng(SEED).lognormal(0, 1, messages // LENGTH)
    return np.maximum(1, np.rint(sizes * messages / sizes.sum())).astype(np.int64)


def session_rows(messages: int) -> Iterator[tuple[str, str, str, str, str, str, int, int, str, str]]:
    """Yields the rows of sessions, which begin and end with their messages."""
    random, words, sizes = np.random.default_rng([SEED, 1]), vocabulary(), session_sizes(messages)
    begun, ended = _bounds(messages, len(sizes))
    for number, size in enumerate(sizes.tolist()):
        title = " ".join(words[word] for word in random.choice(VOCABULARY, 3))
        ours = session_id(number), f"config-{number % 200}", EVERYONE, "bench", title, f'{{"number": "{number % 10}"}}'
        yield *ours, (size + 1) // 2, size, moment(begun[number]), moment(ended[number])


def participants(messages: int) -> Iterator[tuple[str, str, str]]:
    """Yields the rows of participants; a tenth of those with few sessions are viewers."""
    random, sessions = np.random.default_rng([SEED, 4]), messages // LENGTH
    yield from ((session_id(number), EVERYONE, "owner") for number in range(sessions))
    for size in SIZES:
        for user in users(size):
            for number in random.choice(sessions, min(size, sessions), replace=False).tolist():
                yield session_id(number), user, "owner" if random.random() < 0.9 else "viewer"


def chunks(messages: int, part: int, parts: int) -> Iterator[tuple[list[Message], Integers]]:
    """Yields every `parts`-th chunk of messages in the order of time, and how many of its messages have each word."""
    first = 0
    for turn, (sessions, seqs) in enumerate(_planned_chunks(messages)):
        if turn % parts == part:
            texts, counts = counted_texts(np.random.default_rng([SEED, 2, turn]), len(sessions))
            numbers = range(first, first + len(sessions))
            yield list(map(Message, numbers, sessions.tolist(), seqs.tolist(), texts)), counts
        first += len(sessions)


def _bounds(messages: int, sessions: int) -> tuple[Integers, Integers]:
    """Returns the numbers of the first and of the last message of each session."""
    begun, ended, first = np.empty(sessions, np.int64), np.empty(sessions, np.int64), 0
    for chosen, seqs in _planned_chunks(messages):
        numbers = np.arange(first, first + len(chosen))
        begun[chosen[seqs == 1]] = numbers[seqs == 1]
        ended[chosen] = numbers  # the last of several counts
        first += len(chosen)
    return begun, ended


def _begun(sizes: Integers, messages: int) -> Integers:
    return (np.arange(len(sizes)) * (messages / len(sizes))).astype(np.int64)


def _active(messages: int) -> int:
    return max(1, min(ACTIVE, messages // LENGTH // 4))


def _planned_chunks(messages: int) -> Iterator[tuple[Integers, Integers]]:
    """Yields the session and the number in the session of each message, by chunks."""
    sessions, seqs = np.empty(0, np.int64), np.empty(0, np.int64)
    for more_sessions, more_seqs in _planned(messages):
        sessions, seqs = np.concatenate([sessions, more_sessions]), np.concatenate([seqs, more_seqs])
        while len(sessions) >= CHUNK:
            yield sessions[:CHUNK], seqs[:CHUNK]
            sessions, seqs = sessions[CHUNK:], seqs[CHUNK:]
    yield sessions, seqs


def _planned(messages: int) -> Iterator[tuple[Integers, Integers]]:
    """Yields the same by beginning sessions. Sessions begin one after the other, and longer ones end later.

    What comes after the beginning of the next thousand sessions waits for them.
    """
    sizes = session_sizes(messages)
    begun = _begun(sizes, messages)
    waiting = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int64)  # moments, sessions, seqs
    for first in range(0, len(sizes), BEGINNING):
        begin = _messages_of(first, sizes[first : first + BEGINNING], begun, _active(messages))
        moments, sessions, seqs = (np.concatenate(pair) for pair in zip(waiting, begin, strict=True))
        next_begun = begun[first + BEGINNING] if first + BEGINNING < len(sizes) else np.inf
        order = np.argsort(moments, kind="stable")
        ready, later = np.split(order, [np.searchsorted(moments[order], next_begun)])
        yield sessions[ready], seqs[ready]
        waiting = moments[later], sessions[later], seqs[later]


def _messages_of(
    first: int, sizes: Integers, begun: Integers, active: int
) -> tuple[NDArray[np.float64], Integers, Integers]:
    """Returns moment, session and number of the messages of sessions, those of a session in the order of time."""
    sessions = np.repeat(np.arange(first, first + len(sizes)), sizes)
    random = np.random.default_rng([SEED, 5, first])
    moments = begun[sessions] + random.random(len(sessions)) * np.repeat(sizes, sizes) * active
    order = np.lexsort((moments, sessions))
    seqs = np.arange(len(sessions)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + 1
    return moments[order], sessions[order], seqs
