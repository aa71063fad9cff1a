"""Reloading the queries of one process: the new set replaces the old one at once, if it passes the whole check.

The command and signals are in `test_reload_command.py`.
"""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.connections import LISTENER
from amplifier.database.pool import Database
from amplifier.database.signatures import CHANNEL
from amplifier.queries.registry import Queries
from amplifier.queries.reload import RELOAD, REPORT, read
from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for
from tests.queries.test_checks import blocks, edit
from tests.support.live import until
from tests.support.polling import TERMINATE

Sql = Callable[..., list[Any]]
PING = ("service.ping", "select 1;", "select 1 where true;")
BROKEN = ("users.get", "    metadata\n", "    metadatum\n")
STRANGER = ("sessions.get", "p.user_id = :actor_id", "(p.user_id = :actor_id or true)")


@pytest.fixture
async def edited(dsn: str, folder: Path) -> AsyncIterator[Api]:
    """The application, with a copy of the queries that tests may edit."""
    async with serving(settings_for(dsn, queries_dir=str(folder))) as api:
        yield api


async def shown(api: Api) -> dict[str, Any]:
    """Returns the response to GET /health/queries."""
    response = await (await api.as_user("root", "admin")).get("/health/queries")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def reported(api: Api, sql: Sql) -> str:
    """Asks for a reload as a DBA does, and returns the report that the process sends."""
    heard: list[str] = []
    listener = await api.app.state.queries.database.dedicated()
    try:
        await listener.add_listener(CHANNEL, lambda *notification: heard.append(notification[3]))
        await until(lambda: api.app.state.authenticator._hearing)
        sql(f"select announce('{RELOAD} please')")
        await until(lambda: any('"please"' in payload for payload in heard))
    finally:
        await listener.close()
    return next(payload for payload in heard if '"please"' in payload).split(" ", 2)[2]


async def reloaded(api: Api, sql: Sql) -> dict[str, Any]:
    """Asks for a reload, waits for the report, and returns the response to GET /health/queries."""
    assert (await reported(api, sql)).startswith(REPORT)
    return await shown(api)


def test_adopt_replaces_set_at_once_and_keeps_statistics(folder: Path) -> None:
    dsn = "postgresql://unused/unused"  # no query is run
    database = Database(settings_for(dsn), dsn)
    queries = Queries(database, folder)
    ping, get = queries.service.ping, queries.sessions.get
    ping.usage.calls, get.usage.calls = 7, 5
    begun, before = queries.snapshot(), queries.hash
    edit(folder, *PING)
    queries.adopt(Queries(database, folder))
    assert queries.hash != before == begun.hash
    assert begun.service.ping is ping, "who began with the former set keeps it"
    assert "where true" in queries.service.ping.statement
    assert (queries.service.ping.usage.calls, queries.sessions.get.usage.calls) == (0, 5)
    assert [query.name for query in queries.all()] == [query.name for query in begun.all()]


async def test_notification_reloads_queries(edited: Api, folder: Path, sql: Sql) -> None:
    before = await shown(edited)
    edit(folder, *PING)
    after = await reloaded(edited, sql)
    assert after["hash"] != before["hash"]
    assert after["refused"] is None
    assert after["loaded_at"] > before["loaded_at"]
    changed = [
        new["name"] for old, new in zip(before["queries"], after["queries"], strict=True) if old["hash"] != new["hash"]
    ]
    assert changed == ["service.ping"]


async def test_health_shows_place_and_calls_of_each_query(edited: Api, folder: Path) -> None:
    user = await edited.as_user("alice")
    config_id = (await user.post("/configs", json=CONFIG)).json()["config_id"]
    session_id = (await user.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    for _ in range(3):
        assert (await user.get(f"/sessions/{session_id}")).status_code == 200
    answer = await shown(edited)
    assert re.fullmatch(rf".+:{os.getpid()}", answer["process"])
    assert answer["folder"] == str(folder)
    [query] = [one for one in answer["queries"] if one["name"] == "sessions.get"]
    assert (query["file"], query["calls"]) == ("sessions.sql", 3)
    assert 0 < query["seconds"] < 10
    line = (folder / "sessions.sql").read_text().splitlines()[query["line"] - 1]
    assert line.startswith("-- name: get(")


async def test_only_admin_applications_see_queries(edited: Api) -> None:
    assert_problem(await (await edited.as_user("alice")).get("/health/queries"), 403)
    assert_problem(await edited.client().get("/health/queries"), 401)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (BROKEN, 'column "metadatum" does not exist'),
        (STRANGER, "somebody with nothing gets or changes what is not theirs"),
        (("service.ping", "select 1;", "select '1';"), "the code reads int, the query gives str"),
        (("users.get", "@access self", "@access public"), "@access public is not for a query of this name"),
        (("service.ping", "-- name: ping", "-- name: pong"), "is missing, and the service runs it"),
        (("service.ping", "select 1;", "selec 1;"), "a query begins with one of"),
    ],
)
async def test_refused_files_change_nothing(
    edited: Api, folder: Path, sql: Sql, caplog: pytest.LogCaptureFixture, change: tuple[str, str, str], problem: str
) -> None:
    before = await shown(edited)
    name, old, new = change
    edit(folder, name, old, new)
    after = await reloaded(edited, sql)
    assert after["hash"] == before["hash"]
    [finding] = [one for one in after["refused"]["findings"] if one["problem"].startswith(problem)]
    assert finding["file"] == str(folder / f"{name.partition('.')[0]}.sql")
    assert finding["remedy"]
    assert problem in caplog.text
    assert (await edited.client().get("/health")).json()["status"] == "healthy"
    file = folder / f"{name.partition('.')[0]}.sql"
    file.write_text(file.read_text().replace(new, old))
    assert (await reloaded(edited, sql))["refused"] is None


async def test_missing_folder_is_refused(edited: Api, folder: Path, sql: Sql) -> None:
    hidden = Path(shutil.move(folder, f"{folder}-hidden"))
    refused = (await reloaded(edited, sql))["refused"]
    assert [one["problem"] for one in refused["findings"]] == ["there is no such folder"]
    shutil.move(hidden, folder)
    assert (await reloaded(edited, sql))["refused"] is None


async def test_restored_listener_reloads_queries(edited: Api, folder: Path, sql: Sql) -> None:
    before = edited.app.state.queries.hash
    edit(folder, *PING)
    sql(f"{TERMINATE} and application_name = '{LISTENER}'")
    await until(lambda: edited.app.state.queries.hash != before)


async def test_unavailable_database_is_reported_as_not_checked(
    edited: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplifier.queries.reload._PAUSE", 0)
    edit(folder, *PING)
    monkeypatch.setattr(edited.app.state.queries.database, "dsn", "postgresql://nobody@127.0.0.1:1/nowhere")
    await edited.app.state.reloader.reload()
    [finding] = edited.app.state.reloader.refused.findings
    assert (finding.problem[:12], finding.remedy) == ("not checked:", "reload again later")


async def test_failing_check_is_reported(edited: Api, folder: Path, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    before = edited.app.state.queries.hash
    await reported(edited, sql)
    edit(folder, *PING)
    monkeypatch.setattr("amplifier.queries.reload.check", None)
    report = await reported(edited, sql)
    assert "the check itself failed: TypeError" in report
    assert edited.app.state.queries.hash == before


def test_other_notifications_are_no_reports() -> None:
    for payload in ("", "events *", "queries ", "queries {}", "queries from somebody else"):
        assert read(payload) is None


@pytest.mark.slow
async def test_report_fits_into_notification(edited: Api, folder: Path, sql: Sql) -> None:
    for name in blocks(folder):
        edit(folder, name, "-- @index", "-- @indexes")
    report = await reported(edited, sql)
    after = await shown(edited)
    assert len(report.encode()) < 8000
    assert len(after["refused"]["findings"]) > 60
    assert f'"faults":{len(after["refused"]["findings"])}' in report


async def test_request_runs_queries_of_one_set(
    edited: Api, folder: Path, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that began before a reload runs all its queries from the former set."""
    queries, ran = edited.app.state.queries, list[str]()
    reached, go_on = asyncio.Event(), asyncio.Event()
    run = type(queries.configs.list).__call__

    async def slow(self: Any, *args: Any, **arguments: Any) -> Any:
        ran.append(f"{self.name} {self.hash}")
        if self.name == "configs.list":
            reached.set()
            await go_on.wait()
        return await run(self, *args, **arguments)

    monkeypatch.setattr(type(queries.configs.list), "__call__", slow)
    former = queries.configs.count.hash
    user = await edited.as_user("alice")
    request = asyncio.create_task(user.get("/configs", params={"limit": 1, "offset": 1}))
    await reached.wait()
    edit(folder, "configs.count", "select count(*)\n", "select count(config_id)\n")
    await reloaded(edited, sql)
    assert queries.configs.count.hash != former
    go_on.set()
    assert (await request).status_code == 200
    assert f"configs.count {former}" in ran
