"""The static check of `@shards`: where statements run, the rules that they break, and the pinned list of those."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier import paths
from amplifier.database import placement
from amplifier.queries.checks import shards
from amplifier.queries.checks.shard_rules import FUNCTIONS, PINNED, RULES, SPANNING, STABLE, VOLATILE
from amplifier.queries.query import Parsed, Query
from amplifier.queries.registry import OVERLAY
from tests.queries.test_checks import alone, blocks
from tests.queries.test_registry import load
from tests.support.service import command

if "CI" not in os.environ:  # there it has to be installed
    pytest.importorskip("pgparse")

Sql = Callable[..., list[Any]]
FOLDER = paths.folder("queries")
QUERIES = {query.name: query for query in load(FOLDER).all()}


def breaches(sql: str) -> list[str]:
    """Returns the rules that a statement breaks. $1 is the session."""
    level = shards.parse(sql)
    assert level is not None, sql
    return [one.rule for one in shards.breaches(level, 1)]


def placed(sql: str) -> str:
    level = shards.parse(sql)
    assert level is not None, sql
    return shards.placement(level, 1)


def test_queries_break_exactly_their_pinned_rules() -> None:
    """The list may get shorter only: what it names for no reason would hide a later breach."""
    broken = {}
    for query in QUERIES.values():
        number = query.parameters.index("session_id") + 1 if "session_id" in query.parameters else None
        level = shards.parse(query.statement)
        assert level is not None
        assert query.header.shards == shards.placement(level, number), query.name
        if rules := {one.rule for one in shards.breaches(level, number)}:
            broken[query.name] = tuple(sorted(rules))
    assert broken == PINNED


def test_released_queries_have_no_findings() -> None:
    assert shards.findings(QUERIES.values()) == []
    assert PINNED.keys() <= QUERIES.keys()
    assert {rule for rules in PINNED.values() for rule in rules} <= RULES.keys()


def test_overlay_keeps_every_rule() -> None:
    """The pins are for the queries of the folder, not for those that replace them on Citus."""
    overlay = list(load(FOLDER).overlay.values())
    assert PINNED.keys() & {query.name for query in overlay}
    assert shards.findings(overlay) == []
    [count] = [query for query in QUERIES.values() if query.name == "search_facets.count"]
    moved = Parsed(
        **{name: getattr(count, name) for name in ("name", "line", "text", "header", "operator", "parameters")},
        file=FOLDER / OVERLAY / "search_facets.sql",
        sql=count.statement,
    )
    assert "(rule function)" in str(shards.findings([Query(load(FOLDER).database, moved)])[0])


BY_SESSION = "from sessions as s where s.session_id = $1"
CTE = f"with a as (select s.session_id {BY_SESSION})"
JOINED = "select m.seq from messages as m join sessions as s on s.session_id = m.session_id"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (f"select s.title {BY_SESSION}", "one"),
        ("select s.title from sessions as s where $1::text = s.session_id::text", "one"),
        ("select title from sessions where session_id = $1 and title = $2", "one"),
        ("select title from sessions where session_id = $1 or title = $2", "all"),
        ("select title from sessions where session_id = $2", "all"),
        ("select title from sessions where session_id <> $1", "all"),
        ("select title from sessions where session_id = any($1)", "all"),
        ("select title from sessions where (session_id, title) = ($1, $2)", "one"),
        (f"{JOINED} where s.session_id = $1", "one"),
        ("select m.seq from messages as m join sessions as s on s.session_id = m.key where s.session_id = $1", "all"),
        ("select m.seq from messages as m, sessions as s where s.session_id = $1", "all"),
        (f"select 1 {BY_SESSION} and exists (select from runs as r where r.session_id = s.session_id)", "one"),
        (f"select 1 {BY_SESSION} and exists (select from runs where run_id = 'r')", "all"),
        (f"select (select count(*) from runs where session_id = $1) {BY_SESSION}", "one"),
        (f"select (select count(*) from runs) {BY_SESSION}", "all"),
        (f"{CTE} select 1 from a", "one"),
        (f"{CTE} select 1 from a join runs as r on r.session_id = a.session_id", "all"),
        ("select 1 from (select seq from messages where session_id = $1 union all select 2 from runs) as m", "all"),
        (f"select 1 {BY_SESSION} union all select 1 from runs where session_id = $1", "one"),
        ("select 1 from lateral (select seq from messages where session_id = $1) as m", "one"),
        ("insert into runs (run_id, session_id) values ('r', $1)", "one"),
        ("insert into runs (run_id, session_id) values ($1, 'r')", "all"),
        ("insert into runs (run_id, session_id) values ('r', $1), ('r', $2)", "all"),
        (f"{CTE} insert into runs (session_id, run_id) select a.session_id, 'r' from a", "one"),
        (f"with a as (select s.* {BY_SESSION}) insert into runs (session_id) select session_id from a", "one"),
        ("with a as (select $2 as session_id) insert into runs (session_id) select session_id from a", "all"),
        (
            "with a as (insert into sessions (session_id) values ($1) returning *)"
            " insert into runs (session_id) select session_id from a",
            "one",
        ),
        ("update sessions as s set title = 'x' where s.session_id = $1", "one"),
        ("update sessions set title = 'x'", "all"),
        ("delete from runs as r using sessions as s where r.session_id = s.session_id and s.session_id = $1", "one"),
        ("select 1 from configs join users using (user_id)", "local"),
        ("with sessions as (select 1 from users) select 1 from sessions", "local"),
        ("select runs_count_queued($1)", "one"),
        ("select 1 from search_matches($1)", "all"),
    ],
)  # fmt: skip
def test_statement_is_placed_by_its_tables(sql: str, expected: str) -> None:
    assert placed(sql) == expected


CHANGE = "update sessions as s set title = {} where s.session_id = $1"
UPSERT = "insert into users (user_id) values ($1) on conflict (user_id) do update set last_seen ="
CONFIG = "select 1 from configs as c join sessions as s on s.config_id = c.config_id where s.session_id = $1"


@pytest.mark.parametrize(
    ("rule", "broken", "kept"),
    [
        ("volatile", CHANGE.format("clock_timestamp()::text"), CHANGE.format("statement_timestamp()::text")),
        (
            "volatile",
            "delete from runs where session_id = $1 and lease_expires_at < clock_timestamp()",
            "delete from processes where seen_at < clock_timestamp()",
        ),
        ("case", CHANGE.format("case when true then now()::text end"), CHANGE.format("case when true then 'x' end")),
        ("case", CHANGE.format("coalesce(s.title, to_char(now(), ''))"), CHANGE.format("to_char(now(), '')")),
        (
            "case",
            f"{UPSERT} now()",
            f"{UPSERT} excluded.last_seen",
        ),
        (
            "lock-joined",
            f"{CTE} select 1 from sessions as s join a on true where s.session_id = $1 for update of s",
            f"{CTE} select 1 from sessions as s where s.session_id = $1 and exists (select from a) for update of s",
        ),
        (
            "lock-joined",
            f"{CTE} select 1 from runs where session_id = $1 and run_id in (select session_id from a) for update",
            f"{CTE} select 1 from runs where session_id = $1 and run_id = (select session_id from a) for update",
        ),
        ("lock-several", "select 1 from runs for update", "select 1 from runs where session_id = $1 for update"),
        (
            "lock-reference",
            f"{CONFIG} for key share",
            f"{CONFIG} for key share of s",
        ),
        (
            "snapshot",
            f"with b as ({CHANGE.format('null')} returning s.session_id) select last_seq {BY_SESSION}",
            f"with b as ({CHANGE.format('null')} returning s.last_seq) select last_seq from b",
        ),
        (
            "snapshot",
            f"with b as ({CHANGE.format('null')}) select 1 where exists (select from sessions where session_id = $1)",
            f"with a as (select last_seq from sessions where session_id = $1), b as ({CHANGE.format('null')})"
            " select last_seq from a",
        ),
        (
            "exists",
            "insert into runs (session_id) select $1 from users where exists (select from configs)",
            "insert into runs (session_id) select $1 from users where exists (select 1 from configs)",
        ),
        (
            "count",
            f"{CTE} insert into runs (session_id) select $1 where (select count(*) from a) > 0",
            f"{CTE} insert into runs (session_id) select $1 from (select count(*) as n from a) as b where b.n > 0",
        ),
        ("returning", f"{CHANGE.format('null')} returning now()", f"{CHANGE.format('null')} returning lower(s.title)"),
        (
            "returning",
            f"{CHANGE.format('null')} returning (select 1)",
            f"{CHANGE.format('null')} returning s.last_seq + 1",
        ),
        ("function", f"select runs_count_queued(s.session_id) {BY_SESSION}", f"select lower(s.title) {BY_SESSION}"),
    ],
)  # fmt: skip
def test_each_rule_refuses_its_case(rule: str, broken: str, kept: str) -> None:
    assert set(breaches(broken)) == {rule}
    assert breaches(kept) == []


def test_finding_has_line_rule_and_remedy(tmp_path: Path) -> None:
    """A query that is not pinned is refused where it breaks a rule, also after characters of several bytes."""
    text = blocks(FOLDER)["messages.get"].replace(
        "and m.seq = :seq", "and 'é' <> ''\n    and m.seq = count_unread(1, 'x')"
    )
    folder = alone(tmp_path, "messages.get", text.replace(", seq)", ")").replace("-- @param  seq  ", "--  "))
    text = (folder / "messages.sql").read_text()
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "count_unread" in one)
    [finding] = shards.findings(load(folder).all())
    assert (finding.line, finding.query) == (line, "messages.get")
    assert finding.problem == "count_unread reads tables, which a node cannot do for it (rule function)"
    assert finding.remedy == "write its statement here"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("    and m.session_id = :session_id\n", "", ""),
        ("inner join messages as m on m.session_id = p.session_id", "cross join messages as m", ""),
        ("@shards one", "@shards all", r"@shards all, but it is one \(say: @shards one\)"),
        ("@shards one", "@shards local", r"@shards local, but it is one"),
        ("    and p.user_id", "    and m.seq > 0 or p.user_id", r"@shards one, but session_participants is not bound"),
    ],
)
def test_shards_of_edited_query_is_compared(tmp_path: Path, old: str, new: str, problem: str) -> None:
    text = blocks(FOLDER)["messages.get"]
    assert old in text
    found = shards.findings(load(alone(tmp_path, "messages.get", text.replace(old, new))).all())
    assert re.match(problem, found[0].problem + f" ({found[0].remedy})") if problem else found == []


@pytest.mark.slow
def test_check_refuses_new_query_that_breaks_a_rule(dsn: str, folder: Path) -> None:
    (folder / "extra.sql").write_text(
        "-- name: lock(actor_id)\n-- Locks rows of the caller.\n-- @param  actor_id  the caller\n"
        "-- @return LockedParticipant[]\n-- @access participant\n-- @shards all\n-- @index  none\n"
        "select user_id\nfrom session_participants\nwhere user_id = :actor_id\nfor update;\n"
    )
    done = command({}, "queries", "check", "--database", dsn, "--queries", str(folder))
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert re.search(r"extra\.sql:8: extra\.lock: rows of .* on several nodes \(rule lock-several\)", line)


def test_nothing_is_found_without_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "PINNED", {})
    assert shards.findings(QUERIES.values()) != []
    monkeypatch.setitem(sys.modules, "pgparse", None)
    assert shards.findings(QUERIES.values()) == []


def test_every_table_has_one_class(sql: Sql) -> None:
    tables = sql("select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'")
    own = sorted(name for (name,) in tables if not name.startswith(("_yoyo", "yoyo")))
    assert sorted(placement.ALL) == own


def test_keys_of_distributed_tables_have_the_session(sql: Sql) -> None:
    """A node can only keep a key unique that has the column by which rows are divided: one key does not have it yet."""
    rows = sql(
        "select c.relname, i.indexrelid::regclass::text from pg_index as i join pg_class as c on c.oid = i.indrelid"
        " where i.indisunique and c.relnamespace = 'public'::regnamespace and not exists (select from pg_attribute as a"
        " where a.attrelid = c.oid and a.attnum = any(i.indkey) and a.attname = 'session_id')"
    )
    assert [index for table, index in rows if table in placement.DISTRIBUTED] == ["sessions_external_id_idx"]


def test_functions_that_read_tables_are_known(sql: Sql) -> None:
    called = set(re.findall(r"\b(\w+)\s*\(", " ".join(file.read_text() for file in FOLDER.glob("*.sql"))))
    functions = sql(
        "select proname, provolatile::text, pg_get_functiondef(oid) from pg_proc"
        " where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype"
    )
    bodies = {name: text for name, _, text in functions}
    volatility = {name: kind for name, kind, _ in functions}

    def tables(name: str) -> set[str]:
        """Returns the tables of a function and of those that it calls."""
        seen, new = set[str](), {name}
        while new:
            seen |= new
            text = " ".join(bodies[one].partition("\n")[2] for one in new)
            new = {one for one in bodies.keys() - seen if re.search(rf"\b{one}\(", text)}
        text = " ".join(bodies[one].partition("\n")[2] for one in seen)
        return {
            one for one in placement.ALL if re.search(rf"\b(from|join|into|update)\s+(public\.)?{one}\b", text, re.I)
        }

    found = {name: tuple(sorted(tables(name))) for name in (called | FUNCTIONS.keys()) & bodies.keys()}
    assert {name: used for name, used in found.items() if used} == FUNCTIONS
    assert FUNCTIONS.keys() >= SPANNING
    # the others could be called anywhere
    assert {name for name in called & bodies.keys() if volatility[name] != "i"} - FUNCTIONS.keys() == {
        "search_language"
    }


def test_functions_of_postgresql_that_are_not_immutable_are_known(sql: Sql) -> None:
    called = {name for query in QUERIES.values() for name in re.findall(r"\b(\w+)\s*\(", query.statement)}
    rows = sql(
        "select distinct proname, provolatile::text from pg_proc where pronamespace = 'pg_catalog'::regnamespace"
        f" and proname in ({', '.join(repr(name) for name in sorted(called))}) and provolatile <> 'i'"
    )
    assert {name for name, kind in rows if kind == "v"} == VOLATILE
    assert {name for name, kind in rows if kind == "s"} == STABLE
