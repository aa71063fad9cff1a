"""The export of a user has everything about the user that the user may read, and nothing else."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from amplifier.maintenance import user_export
from amplifier.maintenance.operator_database import MaintenanceError, connected
from tests.conftest import Api
from tests.maintenance.test_user_erasure import fill
from tests.support.old_sessions import insert_run, insert_session

Sql = Callable[..., list[Any]]


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection of a command."""
    with connected(dsn) as connection:
        yield connection


def export(connection: psycopg.Connection[Any], user_id: str = "ann") -> list[dict[str, Any]]:
    """Returns the lines of an export."""
    return [json.loads(line) for line in user_export.lines(connection, user_id, lambda *_: None)]


@pytest.mark.slow
async def test_export_has_rows_of_every_table(api: Api, sql: Sql, connection: psycopg.Connection[Any]) -> None:
    shared = await fill(api, sql, "ann")
    lines = export(connection)
    counts = Counter(line["type"] for line in lines)
    assert set(counts) == {
        "export", "user", "search_count", "rate_limit", "stream", "ticket", "kept_answer", "managed_application",
        "config", "config_version", "audit_entry", "invitation", "session", "participant", "message", "event", "run",
        "retracted_message", "approval", "end",
    }  # fmt: skip
    assert lines[0] == {
        "type": "export",
        "format": "amplifier-user",
        "version": 1,
        "user_id": "ann",
        "created_at": lines[0]["created_at"],
    }
    assert lines[-1] == {"type": "end", "sessions": counts["session"]}
    messages = [line["row"] for line in lines if line["type"] == "message" and line["row"]["session_id"] == shared]
    assert [one["author_user_id"] for one in messages] == ["ann", "bob"], "whole transcripts of what ann takes part in"
    back = [line["row"]["author_user_id"] for line in lines if line["type"] == "retracted_message"]
    assert back == ["ann"], "only what ann wrote"
    text = json.dumps(lines)
    for secret in ("token_hash", "ticket_hash", "api_key_hash", "key_hash", "request_hash", "response"):
        assert f'"{secret}"' not in text.replace('"response": null', ""), secret


def test_others_are_left_out(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "own")
    insert_session(sql, "theirs", users=("bob", "cem"), config_id="c2")
    sql("insert into users (user_id) values ('ann'), ('bob')")
    sql("insert into audit_log (user_id, app_id, action, target_type, details) values ('bob', 'a', 'x', 'y', '{}')")
    assert "bob" not in json.dumps(export(connection))


def test_former_participant_gets_own_rows_only(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    insert_session(sql, "left", users=("bob", "ann"), messages=4)
    insert_run(sql, "left", "ann", "r1")
    insert_run(sql, "left", "bob", "r2")
    sql("delete from session_participants where user_id = 'ann'")
    lines = export(connection)
    assert Counter(line["type"] for line in lines) == {"export": 1, "message": 2, "run": 1, "end": 1}
    assert {line["row"]["author_user_id"] for line in lines if line["type"] == "message"} == {"ann"}


@pytest.mark.parametrize(("role", "seen"), [("owner", True), ("editor", False), ("viewer", False)])
def test_invitations_are_for_owners(sql: Sql, connection: psycopg.Connection[Any], role: str, seen: bool) -> None:
    insert_session(sql, "s", users=("bob", "ann"), roles=("owner", role))
    sql("insert into session_events (session_id, type, actor_user_id) values ('s', 'invitation.created', 'bob')")
    assert any(line["type"] == "event" for line in export(connection)) is seen


def test_unknown_user_is_an_error(connection: psycopg.Connection[Any]) -> None:
    with pytest.raises(MaintenanceError, match="the database holds nothing about nobody"):
        export(connection, "nobody")


@pytest.mark.slow
def test_transcript_is_not_collected_in_memory(sql: Sql, connection: psycopg.Connection[Any]) -> None:
    import tracemalloc

    insert_session(sql, "s", messages=0)
    sql(
        "insert into messages (session_id, seq, message, author_user_id, author_app_id) select 's', n,"
        " jsonb_build_object('content', repeat(md5(n::text), 3000)), 'ann', 'app' from generate_series(1, 60) as n"
    )
    tracemalloc.start()
    size = sum(map(len, user_export.lines(connection, "ann", lambda *_: None)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 5_000_000
    assert peak < 2_000_000
