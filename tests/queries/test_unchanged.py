"""Checks that queries passed are skipped while nothing changes that decides about them, and run again when it does."""

from pathlib import Path

import asyncpg
import pytest

from amplifier.database.pool import Database
from amplifier.queries.checks import run, unchanged
from amplifier.queries.checks.row_types import Structs
from amplifier.queries.findings import QueriesError
from amplifier.queries.registry import Queries
from amplifier.server.row_structs import STRUCTS
from tests.conftest import settings_for
from tests.queries.test_checks import FINDING, edit

CHANGES = [
    "alter table sessions alter title set default 'x'",
    "create function one() returns int language sql as 'select 1'",
    "revoke select on sessions from amplifier_app",
    "alter table sessions drop constraint sessions_title_check",
    "alter table sessions disable trigger all",
    "create index on sessions (title)",
]


class Starts:
    """Starts with one data folder. Where `passes` is true, the checks find nothing."""

    def __init__(self, dsn: str, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._dsn, self._data, self._check = dsn, data, run.check
        self._checks, self.passes = 0, False
        monkeypatch.setattr(run, "check", self._counted)

    async def _counted(self, queries: Queries, structs: Structs) -> None:
        self._checks += 1
        if not self.passes:
            await self._check(queries, structs)

    async def checks(self, folder: Path) -> bool:
        """Returns whether a start with the queries of a folder runs the checks."""
        before, database = self._checks, Database(settings_for(self._dsn), self._dsn)
        await database.connect()
        try:
            await unchanged.check_changed(Queries(database, folder), STRUCTS, self._data)
        finally:
            await database.close()
        return self._checks > before


@pytest.fixture
def starts(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Starts:
    """Starts on the test's database."""
    return Starts(dsn, tmp_path, monkeypatch)


async def test_second_start_skips_checks(starts: Starts, dsn: str, folder: Path) -> None:
    assert await starts.checks(folder)
    connection = await asyncpg.connect(dsn)
    await connection.execute("insert into users (user_id) values ('somebody'); analyze")
    await connection.close()
    assert not await starts.checks(folder), "neither rows nor statistics count"


async def test_changed_schema_is_checked(starts: Starts, dsn: str, folder: Path) -> None:
    starts.passes = True
    assert await starts.checks(folder)
    connection = await asyncpg.connect(dsn)
    for change in CHANGES:
        await connection.execute(change)
        assert await starts.checks(folder), change
        assert not await starts.checks(folder), change
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set work_mem = 5000")
    assert await starts.checks(folder)
    await connection.close()


async def test_changed_query_is_checked_until_it_passes(starts: Starts, folder: Path) -> None:
    assert await starts.checks(folder)
    edit(folder, "sessions.get", "p.user_id = :actor_id", "(p.user_id = :actor_id or true)")
    for _ in range(2):
        with pytest.raises(QueriesError, match=FINDING):
            await starts.checks(folder)


async def test_changed_code_is_checked(starts: Starts, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await starts.checks(folder)
    files = unchanged._package_files()
    monkeypatch.setattr(unchanged, "_package_files", lambda: [*files[1:], (files[0][0], files[0][1], 1)])
    assert await starts.checks(folder)
