"""The registry: headers, exact arguments, results, and findings with file and line."""

import asyncio
import re
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.pool import Database
from amplifier.errors import InputError
from amplifier.queries.checks import run
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.registry import Queries
from amplifier.server.row_structs import STRUCTS
from tests.conftest import Api, settings_for

HEADER = """-- name: {name}(actor_id)^
-- One thing.
-- @param  actor_id  the caller
-- @return LockedParticipant | none
-- @access owner
-- @shards local
-- @index  none
"""


def load(folder: Path, dsn: str = "postgresql://unused/unused") -> Queries:
    return Queries(Database(settings_for(dsn), dsn), folder)


async def check(folder: Path, dsn: str) -> None:
    queries = load(folder, dsn)
    await queries.database.connect()
    try:
        await run.check(queries, STRUCTS)
    finally:
        await queries.database.close()


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("-- name: get(", "--name :get(", ""),
        ("-- name: get(", "-- name: (", r"things\.sql:1: things\.: invalid query name"),
        ("-- name: get(", "-- nome: get(", ""),
        ("'x';", "'x'; -- name: other()!\nselect 1", "`-- name:` stands within the query"),
        (":actor_id =", ":from = :actor_id and 'x' =", "'from' is not a valid parameter name|undeclared parameter"),
    ],
)
def test_odd_header_is_a_finding(folder: Path, old: str, new: str, finding: str) -> None:
    """Headers that aiosql misreads or fails on become findings."""
    text = HEADER.format(name="get") + "select 1 where :actor_id = 'x';\n"
    assert old in text
    (folder / "things.sql").write_text(text.replace(old, new))
    faults: list[Finding] = []
    queries = Queries(Database(settings_for("postgresql://x/x"), "postgresql://x/x"), folder, faults)
    assert re.search(finding, "\n".join(map(str, faults))) if finding else faults == []
    assert hasattr(queries.things, "get") == (not finding and "name" in new)


async def test_all_queries_prepare(dsn: str, folder: Path) -> None:
    await check(folder, dsn)


async def test_wrong_query_is_reported_with_file_line_and_reason(dsn: str, folder: Path) -> None:
    file = folder / "things.sql"
    file.write_text(
        HEADER.format(name="get") + "select\n    1 as fine,\n    wrong_column\nfrom users\nwhere user_id = :actor_id;\n"
    )
    (folder / "other.sql").write_text(HEADER.format(name="get") + "\nselect :actor_id::text frm x;\n")
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    other, things = caught.value.findings
    assert (things.file, things.line, things.query) == (str(file), 10, "things.get")
    assert things.problem == 'column "wrong_column" does not exist'
    assert str(other).startswith(f"{folder}/other.sql:9: other.get: syntax error")


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("-- One thing.\n", "", "needs a sentence"),
        ("-- @param  actor_id  the caller\n", "", r"documents @param \[\], the query declares \['actor_id'\]"),
        ("-- @return LockedParticipant | none\n", "", "lacks @return"),
        ("-- @access owner\n", "", "lacks @access"),
        ("-- @index  none\n", "", "lacks @index"),
        ("-- @shards local\n", "", r"lacks @shards \(add a line like: @shards one\)"),
        ("@shards local", "@shards some", "@shards some is not one of one, all, local"),
        ("@access owner", "@access everybody", "@access everybody is not one of"),
        ("(actor_id)^", "(actor_id)#", "script|operators"),
        ("(actor_id)^", "(actor_id)<!", "operators"),
        ("(actor_id)^", "^", "parameter"),
        ("(actor_id)^", "(actor_id, other)^", "unused declared parameter"),
        ("(actor_id)^", "()^", "undeclared parameter"),
        ("(actor_id)^", "(actor_id)", r"does not go with its operator \(this operator brings back Struct\[\]\)"),
        ("-- @index  none\n", "-- @index  none\n-- @cost many\n", "@cost many is not a whole number"),
        ("LockedParticipant | none", "row count", "does not go with its operator"),
    ],
)
def test_incomplete_header_is_refused(folder: Path, old: str, new: str, finding: str) -> None:
    text = HEADER.format(name="get") + "select 1 where :actor_id = 'x';\n"
    assert old in text
    (folder / "things.sql").write_text(text.replace(old, new))
    with pytest.raises(QueriesError, match=finding) as caught:
        load(folder)
    assert str(folder / "things.sql") in str(caught.value)


def test_query_without_caller_must_be_public_or_system(folder: Path) -> None:
    text = HEADER.format(name="get").replace("actor_id", "thing_id") + "select 1 where :thing_id = 'x';\n"
    (folder / "things.sql").write_text(text)
    with pytest.raises(QueriesError, match="@access owner needs the parameter actor_id"):
        load(folder)


def test_duplicate_query_name_is_refused(folder: Path) -> None:
    (folder / "things.sql").write_text((HEADER.format(name="get") + "select 1 where :actor_id = 'x';\n\n") * 2)
    with pytest.raises(QueriesError, match="two queries of the name get"):
        load(folder)


def test_folder_without_queries_is_refused(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "missing", "there is no such folder"), (tmp_path, "no [*].sql files here")):
        with pytest.raises(InputError, match=rf"{path}: {problem} \(set QUERIES_DIR to the folder with the queries\)"):
            load(path)


def test_hidden_files_of_editors_are_not_read(folder: Path) -> None:
    before = load(folder).hash
    (folder / ".#users.sql").symlink_to("me@host.1")
    (folder / ".users.sql").write_text("-- name: get(")
    assert load(folder).hash == before


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"actor_id": "a"},
        {"session_id": "s"},
        {"actor_id": "a", "session_id": "s", "more": 1},
        {"actor_id": "a", "sesion_id": "s"},
    ],
)
async def test_call_requires_exactly_the_declared_arguments(api: Api, arguments: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"sessions\.get takes exactly"):
        await api.app.state.queries.sessions.get(**arguments)


async def test_operator_determines_result(api: Api) -> None:
    queries = api.app.state.queries
    assert await queries.settings.list(limit=1, offset=0, after=None) == []
    assert await queries.users.get(actor_id="nobody") is None
    assert await queries.service.ping() == 1
    assert await queries.users.touch(user_ids=["a", "b"], app_ids=["x", "y"]) == 2
    assert (await queries.users.get(actor_id="a"))["last_seen_app_id"] == "x"
    async with queries.database.transaction():
        assert await queries.users.touch(user_ids=["c"], app_ids=["x"]) == 1
        assert (
            await asyncio.create_task(queries.users.get(actor_id="c"), context=Context()) is None
        )  # another task is outside the transaction
        async with queries.database.transaction():  # joins the outer one
            assert await queries.users.get(actor_id="c") is not None
    assert await queries.users.get(actor_id="c") is not None
    for missing in ("nothing", "sessions.nothing"):
        with pytest.raises(AttributeError):
            _resolve(queries, missing)


async def test_statements_carry_their_name(api: Api) -> None:
    for query in api.app.state.queries.all():
        assert re.match(rf"(select|with|insert|update|delete) /\* {re.escape(query.name)} \*/", query.statement)


def _resolve(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value
