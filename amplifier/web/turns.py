"""Turns and time limits of requests that keep a processor, the disk or a connection busy for long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from amplifier.errors import Problem
from amplifier.fair_share import Shares
from amplifier.web.request import Request

# Entering a megabyte of words into the search index takes 0.4 s, of random letters 3 s: what is larger gets more time
# than other statements.
LARGE = 1024 * 1024  # bytes
_WAIT = 30.0  # seconds that a request waits for its turn


@contextlib.asynccontextmanager
async def turn(request: Request, kind: str, busy: str) -> AsyncIterator[None]:
    """Waits until few enough other requests of this kind are at work; users take turns.

    Raises Problem 503 with the detail `busy` after 30 seconds.
    """
    turns: Shares = request.app.state.turns[kind]
    user = request.caller.user_id
    try:
        async with asyncio.timeout(_WAIT):
            await turns.take(user)
    except TimeoutError:
        raise Problem(503, busy, headers={"Retry-After": "10"}) from None
    try:
        yield
    finally:
        turns.give_back(user)


@contextlib.asynccontextmanager
async def patient_turn(request: Request, kind: str) -> AsyncIterator[None]:
    """Waits for a turn as long as it takes, for an answer that has begun: an error could only break it off."""
    turns: Shares = request.app.state.turns[kind]
    user = request.caller.user_id
    await turns.take(user)
    try:
        yield
    finally:
        turns.give_back(user)


def patience(request: Request, size: int) -> float:
    """Returns the seconds that the database may take to store messages of so many bytes."""
    return float(request.app.state.statement_timeout * (1 + size / LARGE))


def took_too_long() -> Problem:
    """Returns the problem of an append that exceeds its time limit."""
    detail = "The database took too long for this request: send the messages in several requests"
    return Problem(503, detail, headers={"Retry-After": "1"})
