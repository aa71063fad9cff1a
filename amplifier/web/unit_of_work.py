"""What every request that changes something has in common: one transaction for the change, its entry in the audit log
and the answer kept for its Idempotency-Key."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from amplifier.web.idempotency import Repeatable
from amplifier.web.problems import request_id
from amplifier.web.responses import Answer, header

# What a request was about: the first of these that its answer, its path or its handler names.
_TARGETS = {"session_id": "session", "config_id": "config", "app_id": "application", "key": "setting"}
_MAX_ADDRESS = 100  # characters, of what a proxy forwards


async def carry_out(
    request: Any, operation: str, audited: bool, handler: Callable[[], Awaitable[Any]], answer: Callable[[Any], Any]
) -> Any:
    """What the handler returns, or the answer that a request with the same Idempotency-Key got before.

    Whatever the handler does is committed when this returns, or not done. Raises what the handler raises, and Problem
    409 and 422 about the key.
    """
    key = header(request.scope, b"idempotency-key")
    if key is None and not audited:
        return await handler()
    repeatable = None if key is None else await _repeatable(request, key)
    async with request.queries.database.transaction():
        if repeatable is not None and (replayed := await repeatable.replay()) is not None:
            return replayed
        result = await handler()
        if audited:
            await _note(request, operation, result)
        if repeatable is not None:
            result = result if isinstance(result, Answer) else answer(result)
            await repeatable.keep(result, request.path_params)
    return result


async def _repeatable(request: Any, key: str) -> Repeatable:
    """Reads the body, which may take as long as the client likes: before the transaction begins."""
    scope = request.scope
    asked = [scope["method"].encode(), scope["path"].rstrip("/").encode(), scope["query_string"], await request.body()]
    return Repeatable(request.queries, request.caller, request.app.state.secret_key, key, b"\n".join(asked))


async def _note(request: Any, operation: str, result: Any) -> None:
    """Writes who did it, to what, from where; of what was sent only what the handler tells."""
    told = request.scope["state"].get("told", {})
    target_type, target_id = _target(request.path_params | told, result)
    caller, client = request.caller, request.scope["client"]
    await request.queries.audit.add(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        action=operation,
        target_type=target_type,
        target_id=target_id,
        details=msgspec.json.encode({name: value for name, value in told.items() if name not in _TARGETS}),
        address=client[0][:_MAX_ADDRESS] if client else None,
        request_id=request_id(request.scope),
    )


def _target(named: dict[str, Any], result: Any) -> tuple[str, str | None]:
    for name, kind in _TARGETS.items():
        identifier = getattr(result, name, None) or named.get(name)
        if identifier is not None:
            return kind, identifier
    return "service", None
