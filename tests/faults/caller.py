"""Sends the requests of a load, records each with its answer, and knows when each kind of call succeeded last."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec

from tests.conftest import token
from tests.faults.application import KEY
from tests.faults.history import Call, History, Seen, now

DAY = 86_400  # seconds that tokens are valid: the clocks of processes may be wrong by an hour
PATIENCE = 1.0  # seconds that a client waits beyond the limit, so that a late answer is recorded as such


def headers(user: str) -> dict[str, str]:
    """Returns the credentials of a user."""
    return {"X-API-Key": KEY.text, "Authorization": f"Bearer {token(sub=user, exp=int(time.time()) + DAY)}"}


class Caller:
    """Clients of the addresses `targets`, which calls name by their number.

    `limits` has the seconds for an answer by kind. After `hurry` seconds a client does not wait any longer: the answer
    is recorded when it comes.
    """

    def __init__(self, targets: Sequence[str], history: History, limits: Mapping[str, float], hurry: float) -> None:
        self.targets = targets
        self.history = history
        self.succeeded: dict[tuple[str, int], float] = {}  # when a call of this kind last ended well, by its target
        self._limits, self._hurry = limits, hurry
        self._waiting: set[asyncio.Task[None]] = set()  # calls for whose answer no client waits any more
        self._headers: dict[str, dict[str, str]] = {}
        self._clients = [httpx.AsyncClient(base_url=url, timeout=None, verify=False, limits=_LIMITS) for url in targets]

    def limit(self, kind: str) -> float:
        """Returns the seconds after which a call of this kind is late."""
        return self._limits.get(kind, self._limits[""])

    def headers(self, user: str) -> dict[str, str]:
        """Returns the credentials of a user."""
        if user not in self._headers:
            self._headers[user] = headers(user)
        return self._headers[user]

    async def close(self) -> None:
        """Waits for the last answers, which come within their limits, and closes all connections."""
        await asyncio.gather(*self._waiting)
        for client in self._clients:
            await client.aclose()

    async def ask(self, process: int, user: str, method: str, path: str, body: Any = None) -> Any:
        """Returns the answer to a request that is not recorded and must succeed."""
        answer = await self._clients[process].request(method, path, json=body, headers=self.headers(user))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def call(
        self,
        call: Call,
        method: str,
        path: str,
        body: Any = None,
        understand: Callable[[Call, Any], None] = lambda _, __: None,
    ) -> Call:
        """Sends a request, and records it when it has ended. Returns the call, with status 0 if that takes too long.

        `understand` takes from an answer of success what the checker needs.
        """
        sending = asyncio.create_task(self._send(call, method, path, body, understand))
        self._waiting.add(sending)
        sending.add_done_callback(self._waiting.discard)
        await asyncio.wait([sending], timeout=self._hurry)
        if sending.done():
            sending.result()
        return call

    async def _send(
        self, call: Call, method: str, path: str, body: Any, understand: Callable[[Call, Any], None]
    ) -> None:
        sent = self.headers(call.user) | ({"Idempotency-Key": call.key} if call.key else {})
        call.start = now()
        try:
            async with asyncio.timeout(self.limit(call.kind) + PATIENCE):
                answer = await self._clients[call.process].request(method, path, json=body, headers=sent)
            call.end, call.status = now(), answer.status_code
            self._note(call, answer, understand)
        except (httpx.TransportError, TimeoutError) as error:
            call.end, call.status, call.error = now(), 0, repr(error)
        self.record(call)

    def _note(self, call: Call, answer: httpx.Response, understand: Callable[[Call, Any], None]) -> None:
        call.retry_after = "retry-after" in answer.headers
        if answer.is_success:
            understand(call, msgspec.json.decode(answer.content) if answer.content else None)
        else:
            call.error = answer.text[:300]
            # the outcome of a run, which a repeated key gets again; "ask GET" says that it goes on
            call.is_final = '"run_id"' in answer.text and "ask GET" not in answer.text

    def record(self, record: Call | Seen) -> None:
        """Records a call or an event."""
        self.history.add(record)
        if isinstance(record, Seen):
            self.succeeded["event", record.process] = record.at
        elif 200 <= record.status < 300:
            self.succeeded[record.kind, record.process] = record.end


_LIMITS = httpx.Limits(max_connections=500, max_keepalive_connections=100)
