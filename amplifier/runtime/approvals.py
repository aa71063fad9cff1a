"""The approval system of a run: stores an agent's questions and waits for the decisions of participants.

The routes by which participants decide are in `amplifier/api/approvals.py`.
"""

import asyncio
import contextlib
import time
import uuid
from typing import Any

from amplifier_core import ApprovalRequest, ApprovalResponse

from amplifier.errors import Unavailable
from amplifier.masking import redact
from amplifier.runtime.host import Host
from amplifier.runtime.transcript_writer import cleaned

DENIED, _ALLOWED = "Deny", "Allow"
_GRANTS = ("allow", "allow once", "allow always")  # amplifier-core treats any other option as a denial
_MAX_POLL, _MIN_POLL = 1.0, 0.05  # seconds between two polls; a notification may be lost
_MAX_PROMPT = 10_000  # characters
_MAX_OPTIONS, _MAX_OPTION = 20, 200


class Approvals:
    """The approval system of one run, with the method that amplifier-core calls."""

    def __init__(self, host: Host, session_id: str, run_id: str, secrets: frozenset[str]) -> None:
        """`secrets` are masked in questions and options."""
        self._queries, self._hub, self._limit = host.queries, host.hub, host.settings.run_approval_timeout
        self._session_id, self._run_id, self._secrets = session_id, run_id, secrets
        self._scrubber = host.scrubber
        self._over = asyncio.Event()

    def close(self) -> None:
        """Denies the open requests at the end of the run: amplifier-core keeps waiting when a run is cancelled."""
        self._over.set()

    def _shown(self, text: str, most: int) -> str:
        return str(cleaned(redact(self._scrubber.text(text), self._secrets)))[:most]

    async def request_approval(self, prompt: str, options: list[str], timeout: float, default: str) -> str:  # noqa: ASYNC109
        """Returns the chosen option, in a spelling that the kernel understands.

        Returns `Deny` if no participant decides in time, regardless of `default`. `Allow always` counts in the kernel
        until the run ends. Raises Unavailable.
        """
        granted, decision = await self.ask(prompt, options or [_ALLOWED, DENIED], timeout)
        if granted:
            return decision if decision.casefold() in _GRANTS else _ALLOWED
        return DENIED

    async def ask(self, prompt: str, options: list[str], wanted: float | None) -> tuple[bool, str]:
        """Stores a question and waits for the decision. Returns whether it was granted, and the chosen option.

        `wanted` is the time to wait in seconds; RUN_APPROVAL_TIMEOUT limits it. Raises Unavailable if the question
        cannot be stored.
        """
        seconds = min(wanted or self._limit, self._limit)
        key = {"session_id": self._session_id, "approval_id": str(uuid.uuid4())}
        with self._hub.watched(self._session_id) as changed:
            created = await self._queries.approvals.create(
                **key,
                run_id=self._run_id,
                process_id=self._hub.process_id,
                prompt=self._shown(prompt, _MAX_PROMPT),
                options=[self._shown(option, _MAX_OPTION) for option in options[:_MAX_OPTIONS]],
                seconds=seconds,
            )
            if created is None:  # the run is over
                return False, DENIED
            self._hub.announce(self._session_id)
            return await self._answer(key, changed, time.monotonic() + seconds)

    async def _answer(self, key: dict[str, str], changed: asyncio.Event, deadline: float) -> tuple[bool, str]:
        """Waits for the decision. The question stays open while the database is unavailable."""
        while not self._over.is_set():
            changed.clear()
            with contextlib.suppress(Unavailable):
                if (answer := await self._poll(key, deadline)) is not None:
                    return answer
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_MAX_POLL, max(_MIN_POLL, deadline - time.monotonic()))):
                    await changed.wait()
        return False, DENIED

    async def _poll(self, key: dict[str, str], deadline: float) -> tuple[bool, str] | None:
        """Returns the decision, or None while the question is open. Expires the question after the deadline."""
        answer = await self._queries.approval_decisions.get(**key)
        if answer is not None and answer["granted"] is not None:
            return answer["granted"], answer["decision"] or DENIED
        if time.monotonic() < deadline or await self._queries.approval_decisions.expire(**key) is None:
            return None
        self._hub.announce(self._session_id)
        return False, DENIED


class ApprovalProvider:
    """Adapts the approval system to the module hooks-approval, which calls another interface."""

    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def request_approval(self, request: ApprovalRequest) -> ApprovalResponse:
        """Returns the decision; a denial if no participant decides in time. Raises Unavailable."""
        prompt = f"{request.tool_name}: {request.action}"
        granted, decision = await self._approvals.ask(prompt, [_ALLOWED, DENIED], request.timeout)
        return ApprovalResponse(approved=granted, reason=f"answered: {decision}")


def register(coordinator: Any, approvals: Approvals) -> None:
    """Registers the approval system with hooks-approval, if that module is mounted."""
    if registers := coordinator.get_capability("approval.register_provider"):
        registers(ApprovalProvider(approvals))
