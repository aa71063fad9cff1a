"""`amplifier-api search reindex`, and the effect of SEARCH_LANGUAGE on `migrate` and `serve`."""

import itertools
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from amplifier.schema.search_index import ReindexError, reindex
from tests.conftest import with_database
from tests.support.archive import MESSAGES, SESSIONS, STALE, Archive
from tests.support.service import command, free_port, running_service

GERMAN = MESSAGES  # messages of s1, whose config names its language
DEFAULT = "select search_default_language()"
FORBIDDEN = [
    "update messages set search = null",
    "update messages set search_revision = null",
    "select * from messages_refresh_search('', 0, 10)",
    "create or replace function search_default_language() returns text language sql immutable return 'german'",
    "drop function search_default_language",
    "drop index messages_search_idx",
]
UNSEEN = [
    "select search from messages",
    "select search_revision, search_truncated from messages",
    "select search from sessions",
    "select search_estimate('passeng')",
    "select * from sessions_refresh_search('', 10)",
    "select * from ts_stat('select search from messages')",
]


def test_expected_failure_of_reindex_is_a_message(archive: Archive, server: str) -> None:
    with pytest.raises(
        ReindexError, match=r"SEARCH_LANGUAGE is 'klingon', PostgreSQL knows: arabic, .*english, .*german"
    ):
        reindex(archive.dsn, "klingon", _nothing)
    with pytest.raises(ReindexError, match="the database cannot be reached"):
        reindex(with_database(server, "no_such_database"), "german", _nothing)
    with pytest.raises(ReindexError, match="the database cannot be reached"):
        reindex(f"postgresql://me@127.0.0.1:{free_port()}/name", "german", _nothing)
    assert archive.run(DEFAULT) == [("english",)]


def test_lost_connection_is_a_message(archive: Archive) -> None:
    def lose(*_: object) -> None:
        others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        archive.run(f"select pg_terminate_backend(pid) {others} and backend_type = 'client backend'")

    with pytest.raises(ReindexError):
        reindex(archive.dsn, "german", lose)
    assert reindex(archive.dsn, "german", _nothing) > 0
    assert archive.run(STALE) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", ["english", "german"])
def test_login_of_the_service_is_refused_with_reason(archive: Archive, language: str) -> None:
    url = f"{archive.dsn}{'&' if '?' in archive.dsn else '?'}options=-c%20role%3Damplifier_app"
    done = command({"DATABASE_URL": url, "SEARCH_LANGUAGE": language}, "search", "reindex")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("amplifier-api: ")
    assert archive.run(DEFAULT) == [("english",)]


@pytest.mark.slow
def test_outdated_schema_is_reported_with_migrate(empty_dsn: str) -> None:
    done = command({"DATABASE_URL": empty_dsn}, "search", "reindex")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "amplifier-api migrate" in done.stderr


@pytest.mark.slow
def test_reindex_runs_without_terminal_and_serve_requires_it(archive: Archive) -> None:
    environ = {"DATABASE_URL": archive.dsn, "SEARCH_LANGUAGE": "de"}
    refused = command(environ, "serve")
    assert refused.returncode == 1
    assert "in english, SEARCH_LANGUAGE is de: set it back, or run: amplifier-api search reindex" in refused.stderr
    assert "Traceback" not in refused.stderr
    for count in (SESSIONS - 1 + SESSIONS * MESSAGES - GERMAN, 0):
        done = command(environ, "search", "reindex")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith(f"indexed again: {count}\n")
        assert f"{SESSIONS}/{SESSIONS}" in done.stdout
        assert f"{SESSIONS * MESSAGES}/{SESSIONS * MESSAGES}" in done.stdout
    with running_service({**environ, "SEARCH_LANGUAGE": "german"}) as service:
        assert httpx.get(f"{service.url}/health").json()["status"] == "healthy"
    assert command({"DATABASE_URL": archive.dsn}, "serve").returncode == 1


@pytest.mark.slow
def test_migrate_sets_language_of_new_database(empty_dsn: str) -> None:
    environ = {"DATABASE_URL": empty_dsn, "SEARCH_LANGUAGE": "german"}
    with ThreadPoolExecutor(4) as pool:  # replicas that start at the same time
        done = list(pool.map(lambda _: command(environ, "migrate", limit=60), range(4)))
    assert [process.returncode for process in done] == [0] * 4
    *silent, said = sorted(process.stderr for process in done)
    assert silent == [""] * 3, "one process applies them"
    assert re.fullmatch(r"\S+Z INFO amplifier\.schema\.migrate: applying \d+ migrations\n", said)
    assert Archive(empty_dsn).run(DEFAULT) == [("german",)]
    with running_service({**environ, "SEARCH_LANGUAGE": "de-AT"}) as service:
        assert httpx.get(f"{service.url}/health").json()["status"] == "healthy"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["migrate"], ["serve"], ["search", "reindex"]])
def test_unknown_language_is_refused(archive: Archive, arguments: list[str]) -> None:
    done = command({"DATABASE_URL": archive.dsn, "SEARCH_LANGUAGE": "klingon"}, *arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("amplifier-api: ")
    assert "SEARCH_LANGUAGE is" in done.stderr
    assert "klingon" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_two_concurrent_reindex_commands_succeed(archive: Archive) -> None:
    environ = {"DATABASE_URL": archive.dsn, "SEARCH_LANGUAGE": "german"}
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: command(environ, "search", "reindex", limit=60), range(2)))
    assert [(process.returncode, process.stderr) for process in done] == [(0, "")] * 2
    assert archive.run(STALE) == []


def test_roles_cannot_change_the_index(archive: Archive) -> None:
    for role, statement in itertools.product(("amplifier_app", "amplifier_readonly"), FORBIDDEN):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            archive.run(f"set role {role}; {statement}")


def test_analysts_see_nothing_of_the_search(archive: Archive) -> None:
    for statement in UNSEEN:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            archive.run(f"set role amplifier_readonly; {statement}")


def _nothing(*_: object) -> None:
    """Ignores the progress of a run."""
