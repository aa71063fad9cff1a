"""Questions that an agent asks people before it goes on; whoever may send answers them."""

import asyncio
import contextlib
import time
import uuid
from typing import Any

from amplifier_core import ApprovalRequest, ApprovalResponse

from amplifier.errors import Unavailable
from amplifier.runtime.host import Host
from amplifier.runtime.secret_references import redact
from amplifier.runtime.transcript_writer import cleaned

DENIED, _ALLOWED = "Deny", "Allow"
_GRANTS = ("allow", "allow once", "allow always")  # whatever else is granted amplifier-core takes for a denial
_LOOK, _REST = 1.0, 0.05  # seconds between two looks at most, in case that no notification comes, and at least
_MAX_PROMPT = 10_000  # characters
_MAX_OPTIONS, _MAX_OPTION = 20, 200


class Approvals:
    """The approval system of one run, as amplifier-core asks for one."""

    def __init__(self, host: Host, session_id: str, run_id: str, secrets: frozenset[str]) -> None:
        """`secrets` are shown to nobody."""
        self._queries, self._hub, self._limit = host.queries, host.hub, host.settings.run_approval_timeout
        self._session_id, self._run_id, self._secrets = session_id, run_id, secrets
        self._over = asyncio.Event()

    def close(self) -> None:
        """The run is over: whoever asked is denied, because amplifier-core goes on asking when a run is cancelled."""
        self._over.set()

    async def request_approval(self, prompt: str, options: list[str], timeout: float, default: str) -> str:  # noqa: ASYNC109
        """What the kernel understands of the option that somebody chose; `Deny` when nobody did in time, whatever the
        default. What it is told to allow always it allows until the run is over."""
        granted, decision = await self.ask(prompt, options or [_ALLOWED, DENIED], timeout)
        if granted:
            return decision if decision.casefold() in _GRANTS else _ALLOWED
        return DENIED

    async def ask(self, prompt: str, options: list[str], wanted: float | None) -> tuple[bool, str]:
        """Whether it was granted, and with which option. Raises Unavailable."""
        seconds = min(wanted or self._limit, self._limit)
        key = {"session_id": self._session_id, "approval_id": str(uuid.uuid4())}
        with self._hub.watched(self._session_id) as changed:
            created = await self._queries.approvals.create(
                **key,
                run_id=self._run_id,
                process_id=self._hub.process_id,
                prompt=cleaned(redact(prompt, self._secrets))[:_MAX_PROMPT],
                options=[cleaned(redact(option, self._secrets))[:_MAX_OPTION] for option in options[:_MAX_OPTIONS]],
                seconds=seconds,
            )
            if created is None:  # the run is over
                return False, DENIED
            self._hub.announce(self._session_id)
            return await self._answer(key, changed, time.monotonic() + seconds)

    async def _answer(self, key: dict[str, str], changed: asyncio.Event, deadline: float) -> tuple[bool, str]:
        """As soon as there is one; the question stands while the database is away."""
        while not self._over.is_set():
            changed.clear()
            with contextlib.suppress(Unavailable):
                if (answer := await self._look(key, deadline)) is not None:
                    return answer
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK, max(_REST, deadline - time.monotonic()))):
                    await changed.wait()
        return False, DENIED

    async def _look(self, key: dict[str, str], deadline: float) -> tuple[bool, str] | None:
        answer = await self._queries.approval_decisions.get(**key)
        if answer is not None and answer["granted"] is not None:
            return answer["granted"], answer["decision"] or DENIED
        if time.monotonic() < deadline or await self._queries.approval_decisions.expire(**key) is None:
            return None
        self._hub.announce(self._session_id)
        return False, DENIED


class ApprovalProvider:
    """The same for the module hooks-approval, which asks in its own way."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def request_approval(self, request: ApprovalRequest) -> ApprovalResponse:
        """What somebody decided; denied when nobody did in time."""
        prompt = f"{request.tool_name}: {request.action}"
        granted, decision = await self._approvals.ask(prompt, [_ALLOWED, DENIED], request.timeout)
        return ApprovalResponse(approved=granted, reason=f"answered: {decision}")


def register(coordinator: Any, approvals: Approvals) -> None:
    """Tells hooks-approval whom to ask, where it is mounted."""
    if registers := coordinator.get_capability("approval.register_provider"):
        registers(ApprovalProvider(approvals))
