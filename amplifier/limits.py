"""Rate limits: requests a minute for an application and user, counted in the database for all processes.

A process takes several requests at once, more for who calls more, so that most requests ask nobody. What a process took
and did not use is lost to the others, at most a tenth of the limit each; nobody ever gets more than the limit.
"""

import asyncio
import math
import time

from litestar.types import Scope

from amplifier.problems import Problem
from amplifier.queries import Queries

_MINUTE = 60.0
_SHARE = 10  # a process takes at most this part of the limit at once
_REMEMBER_AT_MOST = 10_000  # callers


class _Allowance:
    """What a process has taken for one caller and not used yet."""

    __slots__ = ("asking", "expires_at", "full_at", "left", "refused_until", "remaining", "taken")

    def __init__(self) -> None:
        self.left = self.taken = self.remaining = 0
        self.expires_at = self.full_at = self.refused_until = 0.0
        self.asking = asyncio.Lock()


class Limiter:
    """Admits requests, or refuses them."""

    def __init__(self, queries: Queries, per_minute: int) -> None:
        self._queries = queries
        self.per_minute = per_minute  # for applications that have no limit of their own; 0 for none
        self._allowances: dict[tuple[str, str, int], _Allowance] = {}

    async def admit(self, scope: Scope, app_id: str, user_id: str, per_minute: int) -> None:
        """Counts one request, and notes for its answer what is left. Raises Problem 429, and Unavailable."""
        key = (app_id, user_id, per_minute)
        allowance = self._allowances.get(key) or self._remember(key)
        now = time.monotonic()
        if not self._has(allowance, now):
            async with allowance.asking:  # who waited finds what the one before took
                if not self._has(allowance, now):
                    await self._take(allowance, key, now)
            now = time.monotonic()
        full_in = math.ceil(max(0.0, allowance.full_at - now))
        if not allowance.left:
            scope["state"]["rate_limit"] = (per_minute, 0, full_in)
            raise _refused(per_minute, math.ceil(max(1.0, allowance.refused_until - now)))
        allowance.left -= 1
        scope["state"]["rate_limit"] = (per_minute, allowance.left + allowance.remaining, full_in)

    def _remember(self, key: tuple[str, str, int]) -> _Allowance:
        if len(self._allowances) >= _REMEMBER_AT_MOST:
            self._allowances.clear()
        return self._allowances.setdefault(key, _Allowance())

    @staticmethod
    def _has(allowance: _Allowance, now: float) -> bool:
        """Whether there is an answer without asking: something left, or a refusal that still holds."""
        return (allowance.left > 0 and allowance.expires_at > now) or allowance.refused_until > now

    async def _take(self, allowance: _Allowance, key: tuple[str, str, int], now: float) -> None:
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
        if not row["granted"]:  # until one request is there again
            allowance.refused_until = now + max(0.05, full_in - _MINUTE + _MINUTE / per_minute)


def _refused(per_minute: int, seconds: int) -> Problem:
    detail = f"You have made {per_minute} requests in a minute: wait {seconds} s"
    return Problem(429, detail, headers={"Retry-After": str(seconds)})
