"""The query layer: headers, exact arguments, findings with file and line, and structs that match their queries."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amplifier import checks
from amplifier.api import (
    applications,
    configs,
    invitations,
    participants,
    presence,
    search,
    session_list,
    sessions,
    settings,
    transcripts,
    users,
)
from amplifier.database import Database
from amplifier.queries import Queries, QueriesError
from tests.conftest import Api, settings_for

HEADER = """-- name: {name}(actor_id)^
-- One thing.
-- @param  actor_id  the caller
-- @return Thing | none
-- @access owner
-- @index  none
"""


def load(folder: Path, dsn: str = "postgresql://unused/unused") -> Queries:
    return Queries(Database(settings_for(dsn), dsn), folder)


async def check(folder: Path, dsn: str) -> None:
    queries = load(folder, dsn)
    await queries.database.connect()
    try:
        await checks.check(queries)
    finally:
        await queries.database.close()


async def test_all_queries_prepare(dsn: str, folder: Path) -> None:
    await check(folder, dsn)


async def test_a_wrong_query_is_named_with_file_line_and_reason(dsn: str, folder: Path) -> None:
    file = folder / "things.sql"
    file.write_text(
        HEADER.format(name="get") + "select\n    1 as fine,\n    wrong_column\nfrom users\nwhere user_id = :actor_id;\n"
    )
    (folder / "other.sql").write_text(HEADER.format(name="get") + "\nselect :actor_id::text frm x;\n")
    with pytest.raises(QueriesError) as caught:
        await check(folder, dsn)
    other, things = str(caught.value).splitlines()
    assert re.fullmatch(rf"{re.escape(str(file))}:9: things\.get: column \"wrong_column\" does not exist.*", things)
    assert re.match(rf"{re.escape(str(folder))}/other\.sql:8: other\.get: syntax error", other)


@pytest.mark.parametrize(
    ("old", "new", "finding"),
    [
        ("-- One thing.\n", "", "needs a sentence"),
        ("-- @param  actor_id  the caller\n", "", r"documents @param \[\], the query declares \['actor_id'\]"),
        ("-- @return Thing | none\n", "", "lacks @return"),
        ("-- @access owner\n", "", "lacks @access"),
        ("-- @index  none\n", "", "lacks @index"),
        ("@access owner", "@access everybody", "@access everybody is not one of"),
        ("(actor_id)^", "(actor_id)#", "script|operators"),
        ("(actor_id)^", "(actor_id)<!", "operators"),
        ("(actor_id)^", "^", "parameter"),
        ("(actor_id)^", "(actor_id, other)^", "unused declared parameter"),
        ("(actor_id)^", "()^", "undeclared parameter"),
        ("(actor_id)^", "(actor_id)", None),
    ],
)
def test_the_header_is_demanded(folder: Path, old: str, new: str, finding: str | None) -> None:
    text = HEADER.format(name="get") + "select 1 where :actor_id = 'x';\n"
    assert old in text
    (folder / "things.sql").write_text(text.replace(old, new))
    if finding is None:
        assert load(folder).things.get.returns == "Thing | none"
        return
    with pytest.raises(QueriesError, match=finding) as caught:
        load(folder)
    assert str(folder / "things.sql") in str(caught.value)


def test_a_query_without_the_caller_must_say_that_it_is_public(folder: Path) -> None:
    text = HEADER.format(name="get").replace("actor_id", "thing_id") + "select 1 where :thing_id = 'x';\n"
    (folder / "things.sql").write_text(text)
    with pytest.raises(QueriesError, match="@access owner needs the parameter actor_id"):
        load(folder)


def test_two_queries_of_one_name(folder: Path) -> None:
    (folder / "things.sql").write_text((HEADER.format(name="get") + "select 1 where :actor_id = 'x';\n\n") * 2)
    with pytest.raises(QueriesError, match="two queries of the name get"):
        load(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(QueriesError, match="QUERIES_DIR"):
        load(tmp_path / "missing")


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
async def test_calls_demand_exactly_the_declared_arguments(api: Api, arguments: dict[str, str]) -> None:
    with pytest.raises(TypeError, match=r"sessions\.get takes exactly"):
        await api.app.state.queries.sessions.get(**arguments)


async def test_operators(api: Api) -> None:
    queries = api.app.state.queries
    assert await queries.service.ping() == 1
    assert await queries.users.get(actor_id="nobody") is None
    assert await queries.applications.list() == []
    assert await queries.users.touch(user_ids=["a", "b"], app_ids=["x", "y"]) == 2
    assert (await queries.users.get(actor_id="a"))["last_seen_app_id"] == "x"
    async with queries.database.transaction() as transaction:
        assert await queries.users.touch(transaction, user_ids=["c"], app_ids=["x"]) == 1
        assert await queries.users.get(actor_id="c") is None  # another connection
    assert await queries.users.get(actor_id="c") is not None
    for missing in ("nothing", "sessions.nothing"):
        with pytest.raises(AttributeError):
            _resolve(queries, missing)


async def test_statements_carry_their_name(api: Api) -> None:
    for query in api.app.state.queries.all():
        assert query.statement.startswith(f"/* {query.name} */")


STRUCTS = {
    struct.__name__: struct
    for module in (
        applications,
        configs,
        invitations,
        participants,
        presence,
        search,
        session_list,
        sessions,
        settings,
        transcripts,
        users,
    )
    for struct in vars(module).values()
    if isinstance(struct, type) and issubclass(struct, msgspec.Struct)
}
INTERNAL = {
    "Credentials": ("app_id", "api_key_hash", "is_active", "is_admin"),
    "TranscriptRow": ("last_seq", "next_seq", *transcripts.Entry.__struct_fields__),
    "ApplicationVersion": ("app_id", "updated_at"),
    "LoggedEvent": ("user_ids", "last_seq", "seq", "type", "data", "user_id", "app_id", "created_at"),
    "LockedParticipant": ("user_id",),
    "Clock": ("session_id", "user_id", "last_seq", "may_send"),
    "ExistingSession": ("session_id",),
    "ChangedSession": ("session_id", "last_seq"),
    "HintFor": ("user_id", "session_id", "last_seq", "type"),
    "OpenedStream": ("last_seq", "may_send", "open_elsewhere"),
    "OpenedHints": ("stream_id", "user_id"),
    "PresentIn": ("session_id", "user_id", "since"),
    "HintsTicket": ("expires_at", "user_id"),
    "ClaimedTicket": ("user_id", "app_id", "token_expires_at"),
    "ActiveParticipant": ("session_id", "user_id"),
    "Invitation": invitations.Invitation.__struct_fields__[:-1],  # without `token`, which is not stored
    "InvitationState": ("is_revoked", "is_expired", "is_used_up"),
    "Hit": (*search.Hit.__struct_fields__, "searched_at", "ranked"),
    "FoundSession": (
        *session_list.SessionSummary.__struct_fields__[:-1],
        "headline",
        "rank",
        "matched_at",
        "searched_at",
        "total",
    ),
    "SessionSummary": session_list.SessionSummary.__struct_fields__[:-2],  # without what only a search has
    "Languages": ("current", "wanted"),
    "Session": sessions.Session.__struct_fields__[:-1],  # without `message`, which is not stored
}


async def test_columns_match_the_struct_that_carries_them(api: Api) -> None:
    """Rows become structs by position: names and order have to be the same."""
    compared = 0
    async with api.app.state.queries.database.connection() as connection:
        for query in api.app.state.queries.all():
            columns = [attribute.name for attribute in (await connection.prepare(query.statement)).get_attributes()]
            name = re.sub(r"\[\]| \| none", "", query.returns)
            if name == "value":
                assert len(columns) == 1, query.name
            elif name == "row count":
                assert columns == [], query.name
            else:
                fields: Any = INTERNAL.get(name) or STRUCTS[name].__struct_fields__
                assert tuple(columns) == tuple(fields), query.name
                compared += 1
    assert compared > 10


def _resolve(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = getattr(value, name)
    return value
