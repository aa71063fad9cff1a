"""Rate limits: requests a minute for an application and user, counted in the database for all processes.

A process reserves several requests at once, more for busier callers, so that most requests need no query. Unused
reservations of a process are lost to the others, at most a tenth of the limit each. No caller gets more than the limit.
"""

import asyncio
import math
import time
from typing import TypeAlias

from litestar.types import Scope

from amplifier.errors import Problem
from amplifier.queries.registry import Queries
from amplifier.telemetry import recorder

_MINUTE = 60.0
_SHARE = 10  # a process takes at most this part of the limit at once
_REMEMBER_AT_MOST = 10_000  # callers


Key: TypeAlias = tuple[str, str, int]


class _Allowance:
    """The requests that this process has reserved for one caller."""

    __slots__ = ("asking", "expires_at", "full_at", "left", "policy", "refused_until", "remaining", "taken")

    def __init__(self, per_minute: int) -> None:
        self.left = self.taken = self.remaining = 0
        self.expires_at = self.full_at = self.refused_until = 0.0
        self.asking = asyncio.Lock()
        self.policy = b'"default";q=%d;w=60' % per_minute

    def use(self, scope: Scope, now: float) -> bool:
        """Counts a request if a reserved one is left, and notes the rest for its answer. Returns whether it did."""
        if self.left < 1 or self.expires_at <= now:
            return False
        self.left -= 1
        self.note(scope, now)
        return True

    def note(self, scope: Scope, now: float) -> None:
        """Notes for the answer: the policy, the requests left, and the seconds until the full limit is available."""
        seconds = self.full_at - now
        left = (self.left + self.remaining, int(seconds) + 1 if seconds > 0 else 0)
        scope["state"]["rate_limit"] = (self.policy, b'"default";r=%d;t=%d' % left)


class Limiter:
    """Admits or refuses requests by application, user and their limit."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._allowances: dict[Key, _Allowance] = {}

    def admits(self, scope: Scope, key: Key) -> bool:
        """Counts a request if a reserved one is left. Returns whether it did; otherwise call `admit`."""
        allowance = self._allowances.get(key)
        return allowance is not None and allowance.use(scope, time.monotonic())

    async def admit(self, scope: Scope, key: Key) -> None:
        """Counts a request and reserves more in the database if none is left. Raises Problem 429, and Unavailable."""
        allowance = self._allowances.get(key) or self._remember(key)
        async with allowance.asking:  # a waiting request uses what the one before reserved
            now = time.monotonic()
            if allowance.use(scope, now):
                return
            if allowance.refused_until <= now:
                await self._take(allowance, key, now)
        now = time.monotonic()
        if not allowance.use(scope, now):
            allowance.note(scope, now)
            recorder.current.rate_limited()
            raise _refused(key[2], math.ceil(max(1.0, allowance.refused_until - now)))

    def _remember(self, key: Key) -> _Allowance:
        if len(self._allowances) >= _REMEMBER_AT_MOST:
            self._allowances.clear()
        return self._allowances.setdefault(key, _Allowance(key[2]))

    async def _take(self, allowance: _Allowance, key: Key, now: float) -> None:
        app_id, user_id, per_minute = key
        if allowance.expires_at <= now:
            allowance.taken = 0
            allowance.expires_at = now + _MINUTE
        wanted = max(1, min(allowance.taken, per_minute // _SHARE))
        row = await self._queries.rate_limits.take(
            actor_id=user_id, actor_app_id=app_id, per_minute=per_minute, wanted=wanted
        )
        allowance.left, allowance.remaining = row["granted"], row["remaining"]
        allowance.taken += row["granted"]
        full_in = (row["full_at"] - row["asked_at"]).total_seconds()
        allowance.full_at = now + full_in
        if not row["granted"]:  # until one request is available again
            allowance.refused_until = now + max(0.05, full_in - _MINUTE + _MINUTE / per_minute)


def _refused(per_minute: int, seconds: int) -> Problem:
    detail = f"You have made {per_minute} requests in a minute: wait {seconds} s"
    return Problem(429, detail, headers={"Retry-After": str(seconds)})
