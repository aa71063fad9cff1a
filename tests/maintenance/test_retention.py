"""Retention deletes the sessions of its rules, each once and only as it was when it was looked at."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from amplifier.maintenance import operator_database, retention
from amplifier.maintenance.operator_database import MaintenanceError, connected, take_over
from amplifier.maintenance.retention import Deleted, Found, Retention
from amplifier.maintenance.retention_rules import Rule
from tests.support.old_sessions import age, insert_run, insert_session

Sql = Callable[..., list[Any]]
OLD = Rule(older_than="90d")


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


def left(sql: Sql) -> list[str]:
    """Returns the ids of the sessions that are left."""
    return [row[0] for row in sql("select session_id from sessions order by session_id")]


def apply(connection: psycopg.Connection[Any], rule: Rule = OLD, former: list[Rule] = []) -> Deleted:  # noqa: B006
    """Applies one rule."""
    return Retention(connection, "legal-hold").apply(rule, former, lambda _: None)


@pytest.mark.parametrize(
    ("rule", "stays"),
    [
        (Rule(older_than="90d"), ["new"]),
        (Rule(older_than="2h"), []),
        (Rule(older_than="90d", status=["failed", "cancelled"]), ["desk", "new", "plain"]),
        (Rule(older_than="90d", tags={"team": "desk", "kind": "a"}), ["failed", "new", "plain"]),
        (Rule(older_than="90d", config_id=["c2"]), ["desk", "failed", "new"]),
        (Rule(older_than="90d", status=["failed"], config_id=["c2"]), ["desk", "failed", "new", "plain"]),
    ],
)
def test_rule_deletes_what_fulfils_all_of_it(
    connection: psycopg.Connection[Any], sql: Sql, rule: Rule, stays: list[str]
) -> None:
    insert_session(sql, "plain", 91, config_id="c2")
    insert_session(sql, "desk", 100, tags={"team": "desk", "kind": "a", "more": "b"})
    insert_session(sql, "failed", 100, status="failed", tags={"team": "desk"})
    insert_session(sql, "new", 89)
    found = Retention(connection, "legal-hold").find(rule, [])
    deleted = apply(connection, rule)
    assert left(sql) == stays
    assert deleted == Deleted(4 - len(stays), 2 * (4 - len(stays)), 0)
    assert (found.sessions, found.messages) == (deleted.sessions, deleted.messages)


def test_copy_of_a_config_counts_as_the_config(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "passed on", 100, users=("ann", "bob"))
    sql("update sessions set owner_user_id = 'bob'")
    age(sql, "passed on", 100)
    assert apply(connection, Rule(older_than="90d", config_id=["c1"])).sessions == 1
    assert sql("select config_id from configs") == [("c1",)], "the copy goes with its session"


def test_session_that_somebody_reads_stays(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "read", 100, users=("ann", "bob"))
    sql("update session_participants set last_active_at = now() where user_id = 'bob'")
    assert apply(connection) == Deleted()
    assert left(sql) == ["read"]


def test_held_and_busy_sessions_stay_and_are_counted(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "held", 100, tags={"legal-hold": "case 17"})
    for status in ("queued", "running"):
        insert_session(sql, status, 100)
        insert_run(sql, status, "ann", "r", status=status) if status == "running" else sql(
            "insert into runs (session_id, run_id, status, message, user_id, app_id)"
            " values ('queued', 'r', 'queued', '{}', 'ann', 'app')"
        )
    insert_session(sql, "old", 100)
    [size] = sql("select sum(size)::int from messages where session_id = 'old'")[0]
    assert Retention(connection, "legal-hold").find(OLD, []) == Found(1, 2, size, held=1, busy=2)
    assert apply(connection).sessions == 1
    assert left(sql) == ["held", "queued", "running"]


def test_hold_set_after_the_look_is_respected(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "a", 100)
    works = Retention(connection, "legal-hold")
    [session] = works._archived("", ["a"], works._condition(OLD, []))[1]
    sql('update sessions set tags = \'{"legal-hold": "x"}\', updated_at = %s', session.updated_at)
    assert works._delete(session, works._condition(OLD, []), {}) == (None, 0)
    assert left(sql) == ["a"]


def test_session_falls_under_the_first_rule_that_it_fulfils(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "failed", 100, status="failed")
    insert_session(sql, "plain", 100)
    failed = Rule(older_than="90d", status=["failed"])
    works = Retention(connection, "legal-hold")
    assert [works.find(failed, []).sessions, works.find(OLD, [failed]).sessions] == [1, 1]
    assert apply(connection, OLD, [failed]).sessions == 1
    assert left(sql) == ["failed"]


def test_session_in_use_stays_for_the_next_run(connection: psycopg.Connection[Any], sql: Sql, dsn: str) -> None:
    for name in ("a", "b", "c"):
        insert_session(sql, name, 100)
    locks = {
        "a": "select from session_participants where session_id = 'a' for no key update",
        "b": "select from sessions where session_id = 'b' for no key update",
    }
    with psycopg.connect(dsn) as other:
        for statement in locks.values():
            other.execute(statement)
        assert apply(connection) == Deleted(1, 2, skipped=2)
    assert left(sql) == ["a", "b"]
    assert apply(connection) == Deleted(2, 4, 0)


def test_each_deletion_is_in_the_audit_log(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "a", 100)
    apply(connection, Rule(older_than="90d", name="finished"))
    [entry] = sql("select user_id, app_id, action, target_type, target_id, details from audit_log")
    assert entry == ("amplifier-api", "amplifier-api", "delete_session", "session", "a", {"rule": "finished"})


def test_all_rows_of_a_session_go_in_batches(
    connection: psycopg.Connection[Any], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_SESSIONS", 2)
    monkeypatch.setattr(retention, "_MESSAGES", 3)
    for number in range(5):
        insert_session(sql, f"s{number}", 100, messages=number)
    insert_run(sql, "s1", "ann", "r", 100)
    works = Retention(connection, "legal-hold")
    batches = list(works._batches(works._condition(OLD, [])))
    assert batches == [["s0", "s1"], ["s2"], ["s3"], ["s4"]]
    assert apply(connection) == Deleted(5, 10, 0)
    for table in ("sessions", "session_participants", "messages", "session_events", "runs"):
        assert sql(f"select count(*) from {table}") == [(0,)]


def test_nothing_begins_after_the_deadline(connection: psycopg.Connection[Any], sql: Sql) -> None:
    insert_session(sql, "a", 100)
    works = Retention(connection, "legal-hold", deadline=time.monotonic())
    assert works.apply(OLD, [], lambda _: None) == Deleted()
    assert left(sql) == ["a"]


def test_two_commands_exclude_each_other(
    connection: psycopg.Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operator_database, "_LOCK_LIMIT", 0.1)
    take_over(connection)
    with pytest.raises(MaintenanceError, match="another retention or erasure is running"), connected(dsn) as second:
        take_over(second)


def test_command_waits_for_one_that_is_just_ending(connection: psycopg.Connection[Any], dsn: str) -> None:
    take_over(connection)
    ending = threading.Timer(0.2, connection.execute, ["select pg_advisory_unlock_all()"])
    with connected(dsn) as second:
        ending.start()
        take_over(second)
    ending.join()


def test_login_of_the_service_is_refused_with_reason(dsn: str) -> None:
    url = f"{dsn}{'&' if '?' in dsn else '?'}options=-c%20role%3Damplifier_app"
    with pytest.raises(MaintenanceError, match="login that migrates"), connected(url) as connection:
        take_over(connection)


def test_expected_failures_are_messages(dsn: str, empty_dsn: str) -> None:
    with pytest.raises(MaintenanceError, match="amplifier-api migrate"), connected(empty_dsn) as connection:
        Retention(connection, "legal-hold").count(OLD, [])
    with pytest.raises(MaintenanceError, match="cannot be reached"), connected("postgresql://x@127.0.0.1:1/x"):
        pass
    with pytest.raises(MaintenanceError, match="the database refused"), connected(dsn) as connection:
        connection.execute("select 1 / 0")
