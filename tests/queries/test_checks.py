"""Checks that refuse edits of queries: in the loader, by the pinned access rules, on the database, and in `serve`."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.database import connections
from amplifier.errors import OperatorError
from amplifier.queries.checks.access_rules import UNBOUND
from amplifier.queries.findings import QueriesError
from amplifier.queries.registry import OVERLAY
from tests.api.test_access_matrix import STATE
from tests.queries.test_registry import HEADER, check, load
from tests.support.service import command

PUBLIC = "-- name: get()!\n-- One thing.\n-- @return row count\n-- @access public\n-- @shards local\n-- @index  none\n"
FINDING = "gets or changes what is not theirs"


def blocks(folder: Path) -> dict[str, str]:
    """Returns the text of every query by name, including its header."""
    found = {}
    for file in sorted(folder.glob("*.sql")):
        for text in re.split(r"^(?=-- name: )", file.read_text(), flags=re.MULTILINE)[1:]:
            found[f"{file.stem}.{text[len('-- name: ') : text.index('(')]}"] = text
    return found


def with_caller(folder: Path) -> dict[str, str]:
    """Returns the texts of the queries that serve a user, by name."""
    return {name: text for name, text in blocks(folder).items() if UNBOUND.get(name, "self") == "self"}


def alone(parent: Path, name: str, text: str) -> Path:
    """Creates a folder with this query only."""
    folder = parent / "alone"
    folder.mkdir(exist_ok=True)
    for file in folder.iterdir():
        file.unlink()
    (folder / f"{name.partition('.')[0]}.sql").write_text(text)
    return folder


def edit(folder: Path, name: str, old: str, new: str) -> None:
    """Replaces text in one query of the folder."""
    file = folder / f"{name.partition('.')[0]}.sql"
    before = blocks(folder)[name]
    assert old in before, f"{name} reads otherwise now"
    file.write_text(file.read_text().replace(before, before.replace(old, new)))


def without_caller(text: str, parameter: bool) -> str:
    """Returns a query without its comparisons with the caller. `parameter` keeps the parameter in its header."""
    header, index, body = text.partition("-- @index")
    if not parameter:
        header = re.sub(r"\(actor_ids?(, )?", "(", header)
        header = re.sub(r"^-- @param  actor_ids? .*\n", "", header, flags=re.MULTILINE)
    return header + index + re.sub(r":actor_id\b", "'x'", body.replace(":actor_ids", "array['x']"))


def test_unused_parameter_is_refused(folder: Path, tmp_path: Path) -> None:
    queries = with_caller(folder)
    assert len(queries) > 20
    for name, text in queries.items():
        with pytest.raises(QueriesError, match=r"unused declared parameter.*actor_id") as caught:
            load(alone(tmp_path, name, without_caller(text, parameter=True)))
        assert re.search(rf"\b{name.partition('.')[2]}\b", str(caught.value)), name


def test_query_for_users_requires_the_caller(folder: Path, tmp_path: Path) -> None:
    for name, text in with_caller(folder).items():
        with pytest.raises(QueriesError, match=rf":1: {name}: @access (participant|owner|self) needs the parameter"):
            load(alone(tmp_path, name, without_caller(text, parameter=False)))


@pytest.mark.slow
@pytest.mark.parametrize("access", ["public", "system"])
@pytest.mark.parametrize("keeps_predicate", [True, False])
async def test_header_alone_cannot_make_a_query_public(
    dsn: str, folder: Path, access: str, keeps_predicate: bool
) -> None:
    shutil.rmtree(folder / OVERLAY)  # its queries have the access of those that they replace
    queries = with_caller(folder)
    for name, text in queries.items():
        relabelled = re.sub(r"@access (participant|owner|self)", f"@access {access}", text)
        edit(folder, name, text, relabelled if keeps_predicate else without_caller(relabelled, parameter=False))
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    found = re.findall(rf"\.sql:\d+: ([\w.]+): @access {access} is not for a query of this name", str(caught.value))
    assert found == list(queries)


@pytest.mark.slow
async def test_header_alone_cannot_set_access_self(dsn: str, folder: Path) -> None:
    shutil.rmtree(folder / OVERLAY)
    queries = {name: text for name, text in blocks(folder).items() if name not in UNBOUND}
    for name, text in queries.items():
        edit(folder, name, text, re.sub(r"@access (participant|owner)", "@access self", text))
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    found = re.findall(r"\.sql:\d+: ([\w.]+): @access self is not for a query of this name", str(caught.value))
    assert found == list(queries)


@pytest.mark.slow
async def test_public_query_cannot_become_system(dsn: str, folder: Path) -> None:
    edit(folder, "settings.get", "@access public", "@access system")
    with pytest.raises(QueriesError, match=r"\.sql:\d+: settings\.get: @access system is not for a query of this name"):
        await check(folder, dsn)


def test_access_rules_match_headers(folder: Path) -> None:
    queries = load(folder).all()
    there = {
        query.name: query.header.access for query in queries if query.header.access in ("public", "system", "self")
    }
    assert there == UNBOUND


@pytest.mark.parametrize(
    "statement",
    [
        "reset role",
        "set role none",
        "set session authorization default",
        "drop table messages",
        "truncate messages",
        "alter table messages disable trigger all",
        "create table things (id text)",
        "grant all on messages to public",
        "copy messages to stdout",
        "lock table sessions",
        "do 'begin delete from messages; end'",
        "call something()",
        "explain analyze delete from sessions",
        "merge into sessions using users on false when not matched then do nothing",
        "/* select */ drop table messages",
        "values (1)",
        "table users",
    ],
)
def test_other_statements_than_select_and_dml_are_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(QueriesError, match=r"service\.sql:1: service\.get: a query begins with one of select, with,"):
        load(alone(tmp_path, "service.get", f"{PUBLIC}{statement};\n"))


@pytest.mark.parametrize(
    "call", ["set_config('role', 'none', false)", "PG_ADVISORY_LOCK (1)", "pg_advisory_lock_shared(1)"]
)
def test_query_that_changes_session_state_is_refused(tmp_path: Path, call: str) -> None:
    name = call.partition("(")[0].strip()
    with pytest.raises(QueriesError, match=rf"service\.sql:1: service\.get: {name} changes the connection"):
        load(alone(tmp_path, "service.get", f"{PUBLIC}select 1, {call};\n"))


@pytest.mark.slow
@pytest.mark.parametrize("second", ["reset role", "drop table messages", "select 1"])
async def test_query_of_two_statements_is_refused(dsn: str, folder: Path, second: str) -> None:
    edit(folder, "service.ping", "select 1;", f"select 1; {second};")
    with pytest.raises(QueriesError, match=r"service\.sql:1: service\.ping: cannot insert multiple commands"):
        await check(folder, dsn)


async def test_check_requires_the_service_role(
    dsn: str, folder: Path, monkeypatch: pytest.MonkeyPatch, sql: Callable[..., list[Any]]
) -> None:
    [(user,)] = sql("select current_user")
    monkeypatch.setattr(connections, "ROLE", "none")  # as with a pooler that drops the parameter
    with pytest.raises(OperatorError, match=rf"works as {user} instead of amplifier_app.*alter role {user} set role"):
        await check(folder, dsn)


async def test_finding_has_file_line_and_name(dsn: str, folder: Path) -> None:
    edit(folder, "configs.get", "user_id = :actor_id", ":actor_id::text is not null")
    edit(folder, "messages.list", "p.user_id = :actor_id", "(p.user_id = :actor_id or true)")
    edit(folder, "sessions.count", "select count(*)", "select count(*), s.titel")
    (folder / "things.sql").write_text(HEADER.format(name="get") + "select user_id from users where :actor_id = 'x';\n")
    edit(folder, "users.get", "@access self", "@access public")
    lines = {query.name: query.line for query in load(folder).all()}
    lines["sessions.count"] += blocks(folder)["sessions.count"].split("s.titel")[0].count("\n")
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    findings = str(caught.value).splitlines()
    expected = [
        ("configs.get", FINDING),
        ("messages.list", FINDING),
        ("sessions.count", 'missing FROM-clause entry for table "s"'),
        ("things.get", "whoever owns what it asks for gets and changes nothing"),
        ("users.get", "@access public is not for a query of this name"),
    ]
    for finding, (name, reason) in zip(findings, expected, strict=True):
        place = re.match(rf"{re.escape(str(folder))}/{name.partition('.')[0]}\.sql:(\d+): {name}: ", finding)
        assert place, finding
        assert reason in finding
        assert int(place[1]) == lines[name]


@pytest.mark.slow
async def test_check_leaves_no_rows(dsn: str, sql: Callable[..., list[Any]], folder: Path) -> None:
    sql(STATE, "active")
    before = _contents(sql)
    assert len(before) > 8
    await check(folder, dsn)
    assert _contents(sql) == before
    # those that are joined with another query are examined alone and joined
    names = ["config_changes.update", "messages.append", "participants.create", "users.get"]
    for name in names:
        edit(folder, name, "user_id = :actor_id", ":actor_id::text is not null")
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    found = re.findall(rf"\d: ([\w.]+): .* {FINDING}", str(caught.value))
    assert list(dict.fromkeys(found)) == names
    assert _contents(sql) == before


@pytest.mark.slow
async def test_checks_do_not_disturb_each_other(dsn: str, folder: Path, sql: Callable[..., list[Any]]) -> None:
    before = _contents(sql)
    assert await asyncio.gather(*(check(folder, dsn) for _ in range(4))) == [None] * 4, "none of them found anything"
    assert _contents(sql) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("user_id = :actor_id", ":actor_id::text is not null", rf"configs\.sql:\d+: configs\.get: .* {FINDING}"),
        ("@access owner", "@access public", r"configs\.sql:\d+: configs\.get: @access public is not for a query"),
        ("user_id = :actor_id", "true", r"configs\.sql:\d+: configs\.get: unused declared parameter"),
    ],
)
def test_serve_refuses_to_start_with_findings(dsn: str, folder: Path, old: str, new: str, finding: str) -> None:
    edit(folder, "configs.get", old, new)
    done = command({"DATABASE_URL": dsn, "QUERIES_DIR": str(folder)}, "serve")
    assert done.returncode == 1
    assert re.search(f"^amplifier-api: {re.escape(str(folder))}/{finding}", done.stderr, re.MULTILINE), done.stderr
    assert "Traceback" not in done.stderr


def _contents(sql: Callable[..., list[Any]]) -> dict[str, Any]:
    """Returns the number of rows and a digest of them for each table."""
    tables = sql("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
    digest = "select count(*), md5(string_agg(t::text, '|' order by t::text)) from"
    return {name: sql(f'{digest} "{name}" as t') for (name,) in tables}
