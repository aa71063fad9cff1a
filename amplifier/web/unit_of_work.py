"""The one transaction of a request that changes something: the change, its entry in the audit log, and the answer that
is stored for its Idempotency-Key."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from amplifier.telemetry.served import request_id
from amplifier.web.idempotency import Repeatable
from amplifier.web.request import Request
from amplifier.web.responses import REPLAYED, Answer, answered, header

# The target of an audit entry: the first of these that the answer, the path or the handler names.
_TARGETS = {"session_id": "session", "config_id": "config", "app_id": "application", "key": "setting"}
_MAX_ADDRESS = 100  # characters, of what a proxy forwards


async def commit(
    request: Request, change: Callable[[], Awaitable[Any]], body: bytes | None = None, audited: bool = True
) -> Any:
    """Awaits `change` and commits it together with its audit entry and the answer for its Idempotency-Key.

    `body` is the hash of a body that the handler received itself; repeated requests are compared by it. With `audited`
    False the audit log gets no entry, as for a route that is not audited.

    Returns the result of `change`. Of a request with an Idempotency-Key it returns the Answer made of that result, or
    the Answer that the first request with this key got; then `change` is not awaited, and whatever is sent in the end
    has the header Idempotency-Replayed. Raises what `change` raises, and Problem 409 and 422 about the key; then
    nothing is committed.
    """
    route: Any = request.route_handler
    audited = audited and route.opt["audited"]
    key = header(request.scope, b"idempotency-key")
    if key is None and not audited:
        return await change()
    repeatable = None if key is None else await _repeatable(request, key, body)
    async with request.queries.database.transaction():
        if repeatable is not None and (replayed := await repeatable.replay()) is not None:
            request.scope["state"][REPLAYED] = True
            return replayed
        result = await change()
        if audited:
            await _note(request, route.operation_id, result)
        if repeatable is not None:
            if not isinstance(result, Answer):
                result = answered(route.status_code, result, request.scope)
            await repeatable.keep(result, request.path_params)
    return result


async def _repeatable(request: Request, key: str, body: bytes | None) -> Repeatable:
    """Reads the body before the transaction begins, because a client may take its time to send it."""
    scope = request.scope
    body = await request.body() if body is None else body
    asked = [scope["method"].encode(), scope["path"].rstrip("/").encode(), scope["query_string"], body]
    return Repeatable(request.queries, request.caller, request.app.state.secret_key, key, b"\n".join(asked))


async def _note(request: Request, operation: str, result: Any) -> None:
    """Writes the audit entry: caller, operation, target and address, and of the body only what the handler tells.

    Writes none for a request that changed nothing.
    """
    told = request.scope["state"].get("told", {})
    if told.get("changed") == {}:
        return
    target_type, target_id = _target(request.path_params | told, result)
    caller, client = request.caller, request.scope["client"]
    details = {name: value for name, value in told.items() if name not in _TARGETS}
    if caller.is_acted_as:
        details["acted_as"] = True
    await request.queries.audit.add(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        action=operation,
        target_type=target_type,
        target_id=target_id,
        details=msgspec.json.encode(details),
        address=client[0][:_MAX_ADDRESS] if client else None,
        request_id=request_id(request.scope),
    )


def _target(named: dict[str, Any], result: Any) -> tuple[str, str | None]:
    for name, kind in _TARGETS.items():
        identifier = getattr(result, name, None) or named.get(name)
        if identifier is not None:
            return kind, identifier
    return "service", None
