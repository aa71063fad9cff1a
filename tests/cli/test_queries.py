"""`amplifier-api queries check`: its comparisons, its output, and its exit status for pipelines."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.pool import Database
from amplifier.queries.checks import run, stub
from amplifier.queries.checks.access_rules import REFUSED
from amplifier.queries.findings import Finding
from amplifier.queries.header import parse
from amplifier.queries.registry import Queries
from amplifier.server.row_structs import STRUCTS
from tests.conftest import settings_for
from tests.queries.test_checks import blocks, edit
from tests.support.service import command

Sql = Callable[..., list[Any]]
OWNER = "role = 'owner'"


def checked(dsn: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs the command for a folder and a database."""
    return command({}, "queries", "check", "--database", dsn, "--queries", str(folder), *options, limit=60)


async def told(folder: Path, dsn: str) -> str:
    """Returns the findings that the command would print, without a process."""
    found: list[Finding] = []
    queries = Queries(Database(settings_for(dsn), dsn), folder, found)
    await queries.database.connect()
    try:
        found += await run.findings(queries, STRUCTS)
    finally:
        await queries.database.close()
    return "\n".join(map(str, found))


def test_valid_queries_pass(dsn: str, folder: Path) -> None:
    done = checked(dsn, folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+ queries hold\n", done.stdout)


@pytest.mark.slow
def test_check_reports_all_findings_of_all_files(dsn: str, folder: Path) -> None:
    edit(folder, "users.get", "-- @index  users_pkey\n", "")
    edit(folder, "sessions.get", "    s.title,\n", "    s.titel,\n")
    edit(folder, "configs.get", "user_id = :actor_id", ":actor_id::text is not null")
    done = checked(dsn, folder)
    assert done.returncode == 1
    places = [
        re.match(rf"{re.escape(str(folder))}/\w+\.sql:\d+: ([\w.]+): ", line) for line in done.stdout.splitlines()
    ]
    assert [place[1] for place in places if place] == ["users.get", "configs.get", "sessions.get"]
    as_json = json.loads(checked(dsn, folder, "--json").stdout)
    assert [finding["query"] for finding in as_json["findings"]] == ["users.get", "configs.get", "sessions.get"]
    assert all(finding["remedy"] for finding in as_json["findings"])
    assert as_json["findings"][2]["problem"] == "column s.titel does not exist"


WRONG = [
    (
        "sessions.get",
        "    s.title,\n    s.tags,\n",
        "    s.tags,\n    s.title,\n",
        "in another order than the fields of Session",
    ),
    ("sessions.get", "    s.title,\n", "", "the result lacks title, compared with Session"),
    ("sessions.get", "    s.title,\n", "    s.title as name,\n", "lacks title and has name, compared with Session"),
    (
        "sessions.get",
        "s.message_count",
        "s.message_count::text",
        "message_count is of the type text, Session has int",
    ),
    ("sessions.get", "    s.status,\n", "    null as status,\n", "status is null, Session takes no null there"),
    ("users.get", "    metadata\n", "    now()::time as metadata\n", "column metadata is of the type time"),
    ("users.get", "User | none", "Usher | none", "@return Usher: there is no such struct"),
    ("users.get", "User | none", "Setting | none", "compared with Setting"),
    ("sessions.get", "Session | none", "Session", "the code reads SessionRow | None, the query gives SessionRow"),
    ("configs.count", "select count(*)", "select count(*), 1", "@return value means 1 columns, not 2"),
    ("configs.count", "select count(*)", "select count(*)::text", "the code reads int, the query gives str"),
    ("messages.list", ":after\n", ":after::text::bigint\n", "the code passes after as int, the query takes str"),
    ("messages.append", "or null", "or 0", "the code passes expected_seq as int | None, the query takes int"),
    ("users.get", "actor_id", "caller_id", "@access self needs the parameter actor_id"),
    (
        "configs.get",
        "    config_id = :config_id\n",
        "    config_id = :config_id and $3::text is null\n",
        "like $1 of its own",
    ),
    ("configs.count", "select count(*)\n", "select\n", "@return value means 1 columns, not 0"),
    ("users.touch", "@return row count", "@retrun row count", "the header lacks @return"),
    (
        "streams.list",
        "    min(t.opened_at) as since\n",
        "    min(t.user_id) as since\n",
        "since is of the type text",
    ),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [pytest.param(*wrong, marks=pytest.mark.slow if number % 3 else ()) for number, wrong in enumerate(WRONG)],
)
async def test_wrong_columns_types_and_parameters_are_found(
    dsn: str, folder: Path, name: str, old: str, new: str, problem: str
) -> None:
    edit(folder, name, old, new)
    found = await told(folder, dsn)
    assert bool(found) == bool(problem), found
    assert problem in found


async def test_nullable_column_is_found(dsn: str, folder: Path) -> None:
    edit(folder, "sessions.get", "    s.owner_user_id,\n", "    s.last_accessed_by_app_id as owner_user_id,\n")
    assert "column owner_user_id may be null, Session takes no null there (coalesce it)" in await told(folder, dsn)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "old", "new", "role"),
    [
        ("messages.append", "may_send(role, permissions)", "true", "viewer"),
        ("sessions.transfer", "role = 'owner'", "role <> 'viewer'", "editor"),
        ("sessions.lock", "role = 'owner'", "role is not null", "viewer"),
    ],
)
async def test_role_served_against_the_rules_is_found(
    dsn: str, folder: Path, name: str, old: str, new: str, role: str
) -> None:
    text = blocks(folder)[name]
    if old not in text:
        old = re.findall(r"(?:\w+\.)?role = 'owner'|(?:\w+\.)?role in \('owner', 'editor'\)", text)[0]
        new = re.sub(r"role.*", "role is not null", old)
    edit(folder, name, old, new)
    found = await told(folder, dsn)
    assert re.search(rf"{re.escape(name)}: a session's {role} gets or changes what it may not", found), found


async def test_role_refused_against_the_rules_is_found(dsn: str, folder: Path) -> None:
    edit(folder, "sessions.get", "p.user_id = :actor_id", "p.user_id = :actor_id\n    and p.role = 'owner'")
    assert "a session's editor gets and changes nothing (set back what the query asks" in await told(folder, dsn)


def test_refused_roles_belong_to_known_queries(folder: Path) -> None:
    assert REFUSED.keys() <= stub.contract().keys()
    assert {role for roles in REFUSED.values() for role in roles} == {"editor", "viewer"}


@pytest.mark.slow
async def test_endless_query_is_stopped(dsn: str, folder: Path) -> None:
    edit(folder, "users.get", "where user_id = :actor_id;", "where user_id = :actor_id and pg_sleep(4) is not null;")
    assert "users.get: it takes longer than 3 s on a handful of rows" in await told(folder, dsn)


@pytest.mark.slow
async def test_additional_queries_pass(dsn: str, folder: Path) -> None:
    text = (folder / "users.sql").read_text()
    get = text[: text.index("\n\n\n")]
    (folder / "users.sql").write_text(text.rstrip() + "\n\n\n" + get.replace("name: get(", "name: find(") + "\n")
    assert "@access self is not for a query of this name" in await told(folder, dsn)
    (folder / "extra.sql").write_text(
        "-- name: list_own(actor_id)\n-- Titles of the caller's sessions.\n-- @param  actor_id  the caller\n"
        "-- @return LockedParticipant[]\n-- @access participant\n-- @shards all\n-- @index  none\n"
        "select user_id\nfrom session_participants\nwhere user_id = :actor_id;\n"
    )
    (folder / "users.sql").write_text(text)
    assert await told(folder, dsn) == ""


@pytest.mark.slow
def test_check_reports_unusable_database(folder: Path) -> None:
    away = command({}, "queries", "check", "--database", "postgresql://x@127.0.0.1:1/x", "--queries", str(folder))
    assert (away.returncode, "Traceback" in away.stderr) == (1, False)
    assert away.stderr.startswith("amplifier-api: The database is not available")
    wrong = command({}, "queries", "check", "--database", "mysql://x")
    assert (wrong.returncode, "DATABASE_URL must be of the form" in wrong.stderr) == (1, True)


def test_header_is_parsed() -> None:
    header = parse(
        "What it\nsays.\n@param  a  text or null\n@param  b  or nullable\n@return Thing | none\n@access self\n"
        "@index  a_pkey or a_idx, b_pkey\n@cost   12"
    )
    assert (header.sentence, header.struct, header.cost) == ("What it\nsays.", "Thing", "12")
    assert header.indexes == [["a_pkey", "a_idx"], ["b_pkey"]]
    assert [header.is_nullable(name) for name in ("a", "b", "c")] == [True, False, False]
    assert parse("Nothing.\n@return row count\n@index none").indexes == []
    assert parse("Nothing.\n@return row count").struct is None


@pytest.mark.slow
def test_stub_is_up_to_date_and_can_be_rewritten(dsn: str, folder: Path) -> None:
    assert command({}, "queries", "stub", "--check", "--database", dsn).returncode == 0
    edit(folder, "users.get", "@return User | none", "@return User")
    stale = command({"QUERIES_DIR": str(folder)}, "queries", "stub", "--check", "--database", dsn)
    assert stale.returncode == 1
    assert stale.stderr.endswith("registry.pyi is stale, run: amplifier-api queries stub\n")


@pytest.mark.slow
def test_mypy_knows_every_query(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(
        "from amplifier.queries.registry import Queries\n\n\n"
        "async def use(queries: Queries) -> None:\n"
        "    row = await queries.sessions.get(actor_id='a', session_id='s')\n"
        "    reveal_type(row['title'] if row else 0)\n"
        "    await queries.sessions.get(actor_id='a')\n"
        "    await queries.sessions.get(actor_id='a', session_id=1)\n"
        "    await queries.sessions.nothing()\n"
        "    print(row['titel'] if row else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "calls.py")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line for line in done.stdout.splitlines() if ": error: " in line or "Revealed type" in line]
    told = {int(line.split(":")[1]): line for line in lines}
    assert 'Revealed type is "' in told[6]
    assert "str | None" in told[6] or "Union" in told[6]
    assert 'Missing named argument "session_id"' in told[7]
    assert 'incompatible type "int"' in told[8]
    assert 'has no attribute "nothing"' in told[9]
    assert "No overload variant" in told[10]
