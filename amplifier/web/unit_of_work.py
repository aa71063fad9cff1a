"""The one transaction of a request that changes something: the change, its entry in the audit log, and the answer that
is stored for its Idempotency-Key. Of the changes that need no more than one statement, that statement."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar, cast

import asyncpg
import msgspec

from amplifier.errors import Problem
from amplifier.telemetry.served import request_id
from amplifier.web.idempotency import Repeatable
from amplifier.web.request import Request
from amplifier.web.responses import REPLAYED, Answer, answered, header

# The target of an audit entry: the first of these that the answer, the path or the handler names.
_TARGETS = {"session_id": "session", "config_id": "config", "app_id": "application", "key": "setting"}
_MAX_ADDRESS = 100  # characters, of what a proxy forwards
_KEPT = "kept"  # in a scope's state: the answer that the statement of the change stores
_RECORDED = "recorded"  # in a scope's state: the statement of the change adds the audit entry

_Query = TypeVar("_Query", bound=Callable[..., Awaitable[Any]])


async def commit(
    request: Request,
    change: Callable[[], Awaitable[Any]],
    body: bytes | None = None,
    audited: bool = True,
    one_statement: bool = False,
) -> Any:
    """Awaits `change` and commits it together with its audit entry and the answer for its Idempotency-Key.

    `body` is the hash of a body that the handler received itself; repeated requests are compared by it. With `audited`
    False the audit log gets no entry, as for a route that is not audited. With `one_statement` True, `change` runs one
    statement that changes something, the one that it passes to `recorded` or `kept`, and raises nothing after that:
    then there is no transaction, unless a request with an Idempotency-Key is audited or may be a repeated one.

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
    one_statement = one_statement and not request.queries.database.has_citus
    if key is None and one_statement:
        return await change()
    repeatable = None if key is None else await _repeatable(request, key, body)
    if repeatable is not None and one_statement and not audited:
        result = await _first(request, change, repeatable.entry(route.status_code))
        if result is not None:
            return result
    async with request.queries.database.transaction():
        if repeatable is not None and (replayed := await repeatable.replay()) is not None:
            request.scope["state"][REPLAYED] = True
            return replayed
        result = await change()
        if audited and _RECORDED not in request.scope["state"]:
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


async def _first(request: Request, change: Callable[[], Awaitable[Any]], answer: dict[str, Any]) -> Any:
    """Returns the result of a change whose statement stores the answer, too.

    Returns None if the change is refused, also because the key has an answer: then a transaction finds out why.
    """
    state = request.scope["state"]
    state[_KEPT] = answer
    try:
        return await change()
    except Problem as problem:
        if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError):
        pass
    finally:
        del state[_KEPT]
    return None


def kept(request: Request, query: _Query) -> _Query:
    """Returns a query that has `@with idempotency.keep` as the statement that stores its answer, too, where `commit`
    began no transaction for a request with an Idempotency-Key."""
    answer = request.scope["state"].get(_KEPT)
    return query if answer is None else cast(_Query, partial(_joined, cast(Any, query).joined, answer))


def recorded(request: Request, query: _Query) -> _Query:
    """Returns a query that has `@with audit.add` as the statement that adds the audit entry of this request, too.

    What the entry says besides the query's result must have been told before.
    """
    route: Any = request.route_handler
    state = request.scope["state"]
    if request.queries.database.has_citus or not route.opt["audited"]:
        return query
    state[_RECORDED], told = True, state.get("told", {})
    entry = _entry(request, route.operation_id, told, _target(request.path_params | told, None))
    return cast(_Query, partial(_joined, cast(Any, query).joined, entry))


async def _joined(query: Any, entry: dict[str, Any], **arguments: Any) -> Any:
    return await query(**entry | arguments)


async def _note(request: Request, operation: str, result: Any) -> None:
    """Writes the audit entry, unless the request changed nothing."""
    told = request.scope["state"].get("told", {})
    if told.get("changed") == {}:
        return
    target = _target(request.path_params | told, result)
    await request.queries.audit.add(**_entry(request, operation, told, target))


def _entry(request: Request, operation: str, told: dict[str, Any], target: tuple[str, str | None]) -> dict[str, Any]:
    """Returns the audit entry: caller, operation, target, address, and of the body only what was told."""
    caller, client = request.caller, request.scope["client"]
    details = {name: value for name, value in told.items() if name not in _TARGETS}
    if caller.is_acted_as:
        details["acted_as"] = True
    return {
        "actor_id": caller.user_id,
        "actor_app_id": caller.app_id,
        "action": operation,
        "target_type": target[0],
        "target_id": target[1],
        "details": msgspec.json.encode(details),
        "address": client[0][:_MAX_ADDRESS] if client else None,
        "request_id": request_id(request.scope),
    }


def _target(named: dict[str, Any], result: Any) -> tuple[str, str | None]:
    for name, kind in _TARGETS.items():
        identifier = getattr(result, name, None) or named.get(name)
        if identifier is not None:
            return kind, identifier
    return "service", None
