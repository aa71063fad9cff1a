"""Under load queries are replaced repeatedly, every second time by broken ones, and a column is added."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier import paths
from amplifier.queries import control
from amplifier.schema import check, migrate
from tests.queries.test_checks import edit
from tests.support.service import Service, running_service
from tests.support.soak import client, new_sessions

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
CLIENTS = 32
RELOADS = int(os.environ.get("RELOADS", "4"))  # a hundred take four minutes
WRONG = "a title that nobody gave"
BROKEN = [
    ("sessions.get", "p.user_id = :actor_id", "(p.user_id = :actor_id or true)"),
    ("sessions.get", "    s.metadata,\n", "    s.metadatum,\n"),
    ("messages.append", "@access participant", "@access public"),
    ("messages.list", "    page.seq,\n    page.message,\n", "    page.message,\n    page.seq,\n"),
    ("sessions.list", "limit :limit\n", "limit :limit + 1\noffset\n"),
]


class Load:
    """The continuous requests of clients: counts successes and keeps all other outcomes."""

    def __init__(self, services: list[Service]) -> None:
        self._services = services
        self.answers, self.failures = 0, list[str]()
        self._stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs the clients for as long as the context lasts."""
        clients = [client(self._services[number % len(self._services)]) for number in range(CLIENTS)]
        session_ids = await new_sessions(clients[0], 8)
        tasks = [
            asyncio.create_task(self._work(one, session_ids[number % 8], number)) for number, one in enumerate(clients)
        ]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*tasks)
            for one in clients:
                await one.aclose()

    async def _work(self, api: httpx.AsyncClient, session_id: str, number: int) -> None:
        body = {"messages": [{"role": "user", "content": f"from {number}"}]}
        last_seq = 0
        while not self._stopping.is_set():
            try:
                await self._expect(await api.get(f"/sessions/{session_id}"), 200)
                added = await self._expect(await api.post(f"/sessions/{session_id}/transcript", json=body), 201)
                assert added["last_seq"] > last_seq, "numbers go up"
                last_seq = added["last_seq"]
                await self._expect(await api.get("/sessions", params={"limit": 3}), 200)
                page = await self._expect(
                    await api.get(f"/sessions/{session_id}/transcript", params={"after": last_seq - 1, "limit": 1}), 200
                )
                assert page["messages"][0]["message"] == body["messages"][0], "what was added is there"
            except (AssertionError, httpx.HTTPError) as error:
                self.failures.append(repr(error))

    async def _expect(self, response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        assert WRONG not in response.text
        self.answers += 1
        return response.json()


async def hashes(services: list[Service]) -> list[str]:
    """Returns the hash of the queries that each process reports."""
    shown = []
    for one in services:
        async with client(one) as api:
            shown.append((await api.get("/health/queries")).json()["hash"])
    return shown


def replace(folder: Path, source: Path, change: tuple[str, str, str] | None, number: int) -> None:
    """Replaces the files atomically: by valid ones with another note, or by broken ones that return a wrong title."""
    made = Path(shutil.copytree(source, folder.with_name(f"made-{number}")))
    edit(made, "service.ping", "-- @return", f"-- Set {number}.\n-- @return")
    if change is not None:
        edit(made, *change)
        if change[0] == "sessions.get":
            edit(made, "sessions.get", "    s.title,\n", f"    coalesce('{WRONG}', s.title) as title,\n")
    for file in [file for file in made.rglob("*") if file.is_file()]:
        file.replace(folder / file.relative_to(made))


@pytest.mark.parametrize("reloads", [RELOADS])
async def test_queries_are_replaced_under_load(dsn: str, folder: Path, tmp_path: Path, reloads: int) -> None:
    source = Path(shutil.copytree(folder, tmp_path / "source"))
    environ = {"DATABASE_URL": dsn, "QUERIES_DIR": str(folder), "LOG_LEVEL": "error"}
    with running_service(environ) as one, running_service(environ) as other:
        load, served = Load([one, other]), set[str]()
        async with load.running():
            for number in range(reloads):
                change = BROKEN[number // 2 % len(BROKEN)] if number % 2 else None
                before = await hashes([one, other])
                await asyncio.to_thread(replace, folder, source, change, number)
                expected, reports = await asyncio.to_thread(control.reload, dsn, 60)
                after = await hashes([one, other])
                assert (expected, len(reports)) == (2, 2)
                assert after[0] == after[1] == reports[0].hash == reports[1].hash
                assert [bool(report.faults) for report in reports] == [change is not None] * 2, reports
                assert (after == before) == (change is not None)
                served.add(after[0])
        assert load.failures == []
        assert load.answers > 10 * reloads
        assert len(served) == (reloads + 1) // 2


async def test_column_is_added_under_load(dsn: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(paths.folder("migrations"), tmp_path / "migrations"))
    file, rollback = check.new(folder, "sessions add archived_at")
    depends = file.read_text().splitlines()[0]
    limit = "set local lock_timeout = '5s';"
    file.write_text(f"{depends}\n{limit}\nalter table sessions add column archived_at timestamptz;\n")
    rollback.write_text(f"{limit}\nalter table sessions drop column archived_at;\n")
    with running_service({"DATABASE_URL": dsn}) as one, running_service({"DATABASE_URL": dsn}) as other:
        load = Load([one, other])
        async with load.running():
            await _more(load)
            assert await asyncio.to_thread(migrate.migrate, dsn, folder) == [file.stem]
            await _more(load)
        assert load.failures == []


async def _more(load: Load) -> None:
    """Returns when every client has had some more responses."""
    wanted = load.answers + 8 * CLIENTS
    async with asyncio.timeout(60):
        while load.answers < wanted:
            await asyncio.sleep(0.01)
