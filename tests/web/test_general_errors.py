"""The errors that operations may answer with, whatever they do, provoked on each operation that has them."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest

from tests.conftest import Api, assert_problem, serving, settings_for, token
from tests.support.calls import Operation, operations

pytestmark = pytest.mark.slow
Sql = Callable[..., list[Any]]

PRIVATE = operations(lambda operation: operation.needs_credentials)
WITH_BODY = operations(lambda operation: operation.body is not None)
WITH_FILE = operations(lambda operation: operation.takes_file)
WITH_KEY = operations(lambda operation: operation.takes("Idempotency-Key"))
WITH_PATH = operations(lambda operation: "{" in operation.path)
FOR_ADMINS = (
    *("create_application", "delete_setting", "get_queries"),
    *("list_applications", "list_audit_entries", "put_setting"),
)
MAKING = {"put_setting", "put_session_by_key"}  # they make what does not exist
UNFIT = {  # query parameters that fit no operation, by the type or format in the document
    "integer": "x",
    "boolean": "perhaps",
    "date-time": "yesterday",
    "string": "x" * 5000,
    "array": "x" * 5000,
}


async def refusals(client: httpx.AsyncClient, called: Iterable[Operation], status: int, **options: Any) -> set[str]:
    """Calls the operations and returns the details of the problems. All must have this status."""
    details = set()
    for operation in called:
        response = await operation.call(client, **options)
        assert response.status_code == status, (operation.name, response.text)
        details.add(assert_problem(response, status)["detail"])
    return details


def names(called: Iterable[Operation]) -> set[str]:
    return {operation.name for operation in called}


def having(status: int) -> set[str]:
    """Returns the names of the operations of which the document says that they answer with this status."""
    return names(operations(lambda operation: status in operation.statuses))


async def test_requests_without_valid_credentials_are_refused(api: Api) -> None:
    key = await api.register("app")
    expired = token(sub="alice", exp=int(time.time()) - 60)
    for headers, detail in (
        ({}, "Missing X-API-Key header"),
        ({"X-API-Key": "app_wrong"}, "Invalid API key"),
        ({"X-API-Key": key, "Authorization": f"Bearer {expired}"}, "JWT expired"),
    ):
        assert await refusals(api.client(headers), PRIVATE, 401) == {detail}
    assert names(PRIVATE) == having(401)


async def test_bodies_of_another_type_or_size_are_refused(alice: httpx.AsyncClient, session_id: str) -> None:
    text, ids = {"Content-Type": "text/plain"}, {"session_id": session_id}
    for operation in WITH_BODY:
        expected = {f"Send the body as Content-Type: {operation.media_type}"}
        assert await refusals(alice, [operation], 415, headers=text) == expected, operation.name
    assert len(await refusals(alice, WITH_FILE, 415, ids=ids, headers={"Content-Encoding": "gzip"})) == 1
    large = {"Content-Length": str(8 * 1024 * 1024 + 1)}
    [detail] = await refusals(alice, WITH_BODY, 413, headers=large)
    assert detail.startswith("The body is larger than 8 MB")
    large = {"Content-Length": str(1024 * 1024 * 1024 + 1)}
    details = await refusals(alice, WITH_FILE, 413, ids=ids, headers=large)
    assert sorted(detail[:24] for detail in details) == ["An import has at most 10", "The file is larger than "]
    assert names(WITH_BODY) | names(WITH_FILE) == having(413) == having(415)


async def test_requests_that_do_not_fit_are_refused(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    client = await api.as_user("alice", "admin")
    for content in ("{", "[]"):
        await refusals(client, WITH_BODY, 422, content=content)
    ids = {"session_id": session_id}
    [detail] = await refusals(alice, WITH_KEY, 422, ids=ids, headers={"Idempotency-Key": "a key"})
    assert detail.startswith("Idempotency-Key: must be 1 to 255 visible ASCII characters")
    unfit = [
        operation.name
        for operation in operations()
        if 422 in operation.statuses
        for query, ids in _unfit(operation)
        if (await operation.call(client, ids, query)).status_code == 422
    ]
    assert names(WITH_BODY) | names(WITH_KEY) | set(unfit) == having(422)


def _unfit(operation: Operation) -> Iterable[tuple[dict[str, str] | None, dict[str, str]]]:
    """Yields queries and path parameters of which one does not fit."""
    yield {"no_such_parameter": "1"}, {}
    for parameter in operation.parameters:
        schema = parameter["schema"]
        if parameter["in"] == "query":
            yield {parameter["name"]: UNFIT.get(schema.get("format", ""), UNFIT.get(schema.get("type"), "x"))}, {}
        elif parameter["in"] == "path":
            yield None, {parameter["name"]: "x" if schema["type"] == "integer" else "a%00b"}


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    for app_id, is_setting in (("app", False), ("admin", True)):  # only admin applications change settings
        client = await api.as_user("alice", app_id)
        called = [operation for operation in WITH_PATH if operation.path.startswith("/settings/") == is_setting]
        called = [operation for operation in called if operation.name not in MAKING]
        assert all(" not found" in detail for detail in await refusals(client, called, 404))


async def test_applications_without_admin_rights_are_refused(alice: httpx.AsyncClient) -> None:
    called = operations(lambda operation: operation.name in FOR_ADMINS)
    assert await refusals(alice, called, 403) == {"Only admin applications may do this"}


async def test_busy_idempotency_key_is_a_conflict(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    """An append waits for the first one instead: test_idempotency.py."""
    key_hash = hashlib.sha256(b"app\nalice\nbusy").hexdigest()
    sql("select pg_advisory_lock(hashtextextended(%s, 0))", key_hash)
    ids = {"session_id": session_id}
    called = [operation for operation in WITH_KEY if operation.name != "append_transcript"]
    details = await refusals(alice, called, 409, ids=ids, headers={"Idempotency-Key": "busy"})
    assert details == {"A request with this Idempotency-Key is being carried out: try again"}


async def test_requests_beyond_rate_limit_are_refused(dsn: str, sql: Sql) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=60)) as api:
        alice = await api.as_user("alice")
        assert (await alice.get("/configs")).status_code == 200
        sql("update rate_limits set full_at = now() + interval '1 hour'")
        details = await refusals(alice, PRIVATE, 429)
        assert all(detail.startswith("You have made 60 requests in a minute: wait ") for detail in details)
    assert names(PRIVATE) == having(429)


async def test_requests_without_database_are_refused(dsn: str) -> None:
    limits = {"database_pool_max_size": 2, "database_acquire_timeout": 0.05}
    async with serving(settings_for(dsn, **limits)) as api, contextlib.AsyncExitStack() as stack:
        alice = await api.as_user("alice")
        for _ in range(2):
            await stack.enter_async_context(api.app.state.queries.database.connection())
        assert all(detail.endswith("Try again shortly.") for detail in await refusals(alice, PRIVATE, 503))
    assert names(PRIVATE) == having(503) - {"get_readiness"}  # public; tests/api/test_probes.py


async def test_faults_of_service_have_request_id(alice: httpx.AsyncClient, sql: Sql) -> None:
    sql("alter table applications rename to renamed")
    for operation in PRIVATE:
        response = await operation.call(alice)
        assert assert_problem(response, 500)["request_id"] == response.headers["x-request-id"]
    assert names(PRIVATE) == having(500)
