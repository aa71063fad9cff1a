"""Every column that holds text, JSON, an array or bytes has a bound in the database."""

from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import psycopg
import pytest

from amplifier.web.problems import describe
from tests.conftest import CONFIG, Api, assert_problem
from tests.schema.test_migrate import UPDATED

Sql = Callable[..., list[Any]]
OTHERS = {  # a row for each table without one in UPDATED, in the order of their foreign keys
    "application_keys": "(app_id, key_id, name, api_key_hash) values ('a', 'k', 'n', repeat('0', 64))",
    "attachments": "(session_id, sha256, size, content_type, created_by_user_id, created_by_app_id)"
    " values ('s', repeat('0', 64), 1, 'text/plain', 'u', 'a')",
    "attachment_chunks": "(session_id, sha256, start, data) values ('s', repeat('0', 64), 0, 'x')",
    "attachment_removals": "(location, due_at) values ('l', now())",
    "audit_log": "(user_id, app_id, action, target_type, details) values ('u', 'a', 'x', 'session', '{}')",
    "config_versions": "(config_id, version, name, config_json, tags, created_at)"
    " values ('c', 9, 'C', '{}', '{}', now())",
    "embedding_models": "(model, dimensions, is_indexed) values ('m', 2, false)",
    "idempotency_keys": "(app_id, user_id, key_hash, request_hash, status, response)"
    " values ('a', 'u', 'k', 'r', 200, '')",
    "imports": "(import_id, user_id, app_id, process_id, format, size) values ('i', 'u', 'a', 'p', 'auto', 1)",
    "messages": "(session_id, seq, message, author_user_id, author_app_id)"
    """ values ('s', 1, '{"role": "user"}', 'u', 'a')""",
    "message_embeddings": "(session_id, seq, created_at, digest, embedding)"
    " values ('s', 1, now(), decode(repeat('00', 16), 'hex'), '{1}')",
    "processes": "(process_id, name, version, queries_hash, started_at, is_accepting, runs, streams, connections,"
    " connections_in_use, most_connections) values ('p', 'h:1', '1', 'h', now(), true, 0, 0, 1, 0, 1)",
    "rate_limits": "(app_id, user_id, granted, full_at) values ('a', 'u', 1, now())",
    "runs": "(session_id, run_id, status, message, user_id, app_id) values ('s', 'r', 'queued', '{}', 'u', 'a')",
    "retracted_messages": "(session_id, seq, message, author_user_id, author_app_id, created_at, retracted_seq,"
    " retracted_at, retracted_by_user_id, retracted_by_app_id)"
    " values ('s', 1, '{}', 'u', 'a', now(), 2, now(), 'u', 'a')",
    "run_approvals": "(session_id, approval_id, run_id, prompt, options, expires_at)"
    " values ('s', 'a', 'r', 'p', array['o'], now())",
    "searches": "(user_id, app_id, day, kind, searches, unsuccessful, cancelled, seconds)"
    " values ('u', 'a', now(), 'messages', 1, 0, 0, 1)",
    "session_events": "(session_id, seq, type) values ('s', 2, 'a.b')",
    "session_invitations": "(session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id,"
    " expires_at) values ('s', 'i', 3, repeat('0', 64), 'viewer', 1, 'u', now())",
    "session_origin_lines": "(session_id, first_line, numbers, message_seqs, lines)"
    " values ('s', 1, array[1], array[1], array['x'::bytea])",
    "session_participants": "(session_id, user_id, role) values ('s', 'u', 'owner')",
    "stream_tickets": "(ticket_hash, user_id, app_id, token_expires_at, expires_at)"
    " values ('t', 'u', 'a', now(), now())",
    "streams": "(stream_id, process_id, user_id) values ('s', 'p', 'u')",
    "users": "(user_id) values ('u')",
}
ROWS = UPDATED | {table: f"insert into {table} {values}" for table, values in OTHERS.items()}
COLUMNS = """
    select c.relname, a.attname, format_type(a.atttypid, null)
    from pg_class as c
    join pg_attribute as a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname not like '%%yoyo%%'
        and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        and (a.atttypid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype, 'jsonb'::regtype, 'json'::regtype)
            or a.atttypid in (select typarray from pg_type))
    order by 1, 2
"""
LARGE = 17 * 1024 * 1024
VALUES = {  # values that exceed every bound; of a text the first is too long for an id only
    "text": [f"repeat('x', {size})" for size in (300, LARGE)],
    "character varying": ["repeat('x', 300)"],
    "jsonb": [f"jsonb_build_object('x', repeat('x', {LARGE}))"],
    "bytea": [f"convert_to(repeat('x', {LARGE}), 'UTF8')"],
    "bytea[]": [f"array[convert_to(repeat('x', {LARGE}), 'UTF8')]"],
    "bigint[]": ["array_fill(1, array[1001])::bigint[]"],
    "real[]": [f"array_fill(1::real, array[{LARGE // 4}])"],
    "text[]": [f"array[repeat('x', {LARGE})]"],
}
OVERWRITTEN = "a trigger writes it, whatever is given"
UNBOUND = {
    ("messages", "search_revision"): OVERWRITTEN,
    ("sessions", "last_accessed_by_app_id"): "it would cost each append; messages and the audit log have the same id",
    ("sessions", "search_revision"): OVERWRITTEN,
}
REFUSALS = (
    psycopg.errors.CheckViolation,
    psycopg.errors.ForeignKeyViolation,  # the referenced column has the bound
    psycopg.errors.StringDataRightTruncation,
)


@pytest.mark.slow
def test_every_column_refuses_a_value_over_its_bound(sql: Sql) -> None:
    columns = sql(COLUMNS)
    for statement in ROWS.values():
        sql(statement)
    for table in {table for table, _, _ in columns}:
        assert sql(f"select count(*) from {table}") != [(0,)], f"give {table} a row above"
    assert [column for column in columns if not _is_bound(sql, *column)] == []


def _is_bound(sql: Sql, table: str, column: str, kind: str) -> bool:
    if (table, column) in UNBOUND:
        return True
    for value in VALUES[kind]:
        sql("begin")
        try:
            sql(f"update {table} set {column} = {value}")
        except REFUSALS:
            return True
        except psycopg.Error:
            return False
        finally:
            sql("rollback")
    return False


def test_every_bound_is_a_problem_with_a_remedy(sql: Sql) -> None:
    bounds = sql(
        """
        select conname from pg_constraint where conname ~ '_(size|length)_check$'
        union all select tgname from pg_trigger where tgfoid = 'refuse_value'::regproc
        """
    )
    assert len(bounds) > 30
    for (name,) in bounds:
        error = asyncpg.CheckViolationError()
        error.constraint_name = name
        assert describe(error).status == 422, name


TOO_LARGE = "{} must not be larger than 64 kB as text: a number counts with all the digits that the database writes"
ROUTES = {  # the bounded field, and the other fields of the body
    "POST /sessions": ("metadata", {"config_id": "{config_id}"}),
    "PATCH /sessions/{session_id}": ("metadata", {}),
    "POST /applications": ("settings", {"app_id": "new", "app_name": "New"}),
    "PATCH /applications/app": ("settings", {}),
    "PUT /settings/key": ("value", {}),
}


@pytest.mark.parametrize("route", ROUTES)
async def test_metadata_and_settings_have_64_kb(api: Api, route: str) -> None:
    alice = await api.as_user("alice", "admin")
    await api.register("app")
    ids = {"config_id": (await alice.post("/configs", json=CONFIG)).json()["config_id"]}
    ids["session_id"] = (await alice.post("/sessions", json=ids)).json()["session_id"]
    field, body = ROUTES[route]
    method, url = route.format(**ids).split()
    body = {name: value.format(**ids) for name, value in body.items()}
    for large in ({"x": "y" * 65_536}, {"x": [1e99] * 1000}, {"x": [1e-99] * 1000}):
        answer = await alice.request(method, url, json=body | {field: large})
        assert_problem(answer, 422, TOO_LARGE.format(field))
    kept = {"x": "y" * 65_000}
    assert (await alice.request(method, url, json=body | {field: kept})).status_code in (200, 201)


async def test_config_whose_numbers_grow_is_refused(alice: httpx.AsyncClient, config_id: str) -> None:
    body = {"config_data": CONFIG["config_data"] | {"x": [1e99] * 15_000}}  # type: ignore[operator]
    for answer in (
        await alice.post("/configs", json=CONFIG | body),
        await alice.put(f"/configs/{config_id}", json=body),
    ):
        assert "must not be larger than 1048576 bytes" in assert_problem(answer, 422)["detail"]


async def test_invalid_message_cannot_be_queued(session_id: str, sql: Sql) -> None:
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        sql(
            "insert into runs (session_id, run_id, status, message, user_id, app_id) values"
            """ (%s, 'r', 'queued', format('{"x": [0%%s]}', repeat(', 1e99', 200000))::jsonb, 'alice', 'app')""",
            session_id,
        )
    assert refused.value.diag.constraint_name == "runs_message_size_check"


async def test_session_of_earlier_release_stays_usable(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sql("alter table sessions disable trigger sessions_metadata_size_check")
    sql("""update sessions set metadata = jsonb_build_object('x', repeat('y', 100000))""")
    sql("alter table sessions enable trigger sessions_metadata_size_check")
    path = f"/sessions/{session_id}"
    renamed = await alice.patch(path, json={"title": "Renamed"})
    assert (renamed.status_code, len(renamed.json()["metadata"]["x"])) == (200, 100_000)
    added = await alice.post(f"{path}/transcript", json={"messages": [{"role": "user", "content": "hi"}]})
    assert added.status_code == 201
    assert_problem(await alice.patch(path, json={"metadata": {"x": [1e99] * 1000}}), 422, TOO_LARGE.format("metadata"))
    assert_problem(await alice.post(f"{path}/fork", json={}), 422, TOO_LARGE.format("metadata"))
    assert (await alice.patch(path, json={"metadata": {}})).json()["metadata"] == {}


async def test_config_of_earlier_release_can_be_replaced(alice: httpx.AsyncClient, config_id: str, sql: Sql) -> None:
    sql("alter table configs disable trigger configs_config_json_size_check")
    sql("""update configs set config_json = config_json || jsonb_build_object('x', repeat('y', 2000000))""")
    sql("alter table configs enable trigger configs_config_json_size_check")
    changed = await alice.put(f"/configs/{config_id}", json={"config_data": CONFIG["config_data"]})
    assert changed.status_code == 200, changed.text
    assert sql("select max(octet_length(config_json::text)) > 2000000 from config_versions") == [(True,)]
    restored = await alice.post(f"/configs/{config_id}/versions/2/restore")
    assert "must not be larger than 1048576 bytes" in assert_problem(restored, 422)["detail"]
