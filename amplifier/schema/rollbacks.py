"""Tries migrations and their rollbacks on a scratch database: a rollback must restore the schema exactly."""

import contextlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psycopg

from amplifier import libpq
from amplifier.errors import OperatorError
from amplifier.postgres import embedded, scratch
from amplifier.schema import migrate
from amplifier.schema.scripts import Fault


class TrialError(OperatorError):
    """Raised when migrations cannot be tried. The message says why."""


def faults(folder: Path, dsn: str, settled: Collection[str] = ()) -> Iterator[Fault]:
    """Yields the first migration that cannot be applied or rolled back, or whose rollback leaves another schema.

    Applies all migrations in a new database on the server of `dsn`, rolls them back, and applies them again. Stops at
    the first fault, because later migrations would start from a wrong schema. Does not compare schemas around the
    migrations with ids in `settled`: they were tried before they were sealed, and comparing takes most of the time.
    Raises OperatorError.
    """
    migrate.known.cache_clear()  # a process may write files and try them afterwards
    # yoyo prints the rows of a `select`
    with scratch.database(dsn) as database, migrate.yoyo_backend(database) as backend, _silence():
        migrations = list(migrate.known(folder))
        try:
            yield from _tried(folder, database, backend, migrations, settled)
        finally:
            for migration in backend.to_rollback(migrate.known(folder)):
                _attempt(backend.rollback_one, migration)  # roles are not part of the database, and would remain


def _tried(
    folder: Path, database: str, backend: Any, migrations: list[Any], settled: Collection[str]
) -> Iterator[Fault]:
    before: dict[str, str] = {}  # dumps, by the migration that comes next
    for migration in migrations:
        if migration.id not in settled or migration is migrations[0]:
            before[migration.id] = _unordered(dump(database))
        if error := _attempt(backend.apply_one, migration):
            yield _fault(folder, migration, ".sql", "apply", f"cannot be applied: {error}", "mend its statements")
            return
    complete = _unordered(dump(database))
    for migration in reversed(migrations):
        if error := _attempt(backend.rollback_one, migration):
            yield _fault(folder, migration, ".rollback.sql", "rollback", f"cannot be taken back: {error}", "mend it")
            return
        if migration.id in before and _unordered(dump(database)) != before[migration.id]:
            problem = "leaves another schema than there was before"
            yield _fault(folder, migration, ".rollback.sql", "rollback", problem, "take everything back")
            return
    for migration in migrations:
        if error := _attempt(backend.apply_one, migration):
            problem = f"cannot be applied again after it was taken back: {error}"
            yield _fault(folder, migration, ".rollback.sql", "rollback", problem, "take everything back")
            return
    if _unordered(dump(database)) != complete:
        yield Fault(str(folder), 1, "rollback", "gives another schema the second time", "take everything back")


def dump(dsn: str, program: Path | None = None) -> str:
    """Returns pg_dump's schema of a database without the lines that differ from run to run. Raises TrialError."""
    command = [str(program or _pg_dump()), "--schema-only", "--no-owner", "--exclude-table=*yoyo*", dsn]
    environ = os.environ | libpq.environ(dsn)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)  # noqa: S603
    if done.returncode != 0:
        raise TrialError(f"pg_dump failed: {done.stderr.strip()}")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT "))]
    return "\n".join(lines) + "\n"


def _unordered(dump: str) -> str:
    """Sorts the columns of each table in a dump, and their comments.

    A rollback can restore a dropped column only as the last.
    """

    def sort(found: re.Match[str]) -> str:
        return found[1] + "\n".join(sorted(line.rstrip(",") for line in found[2].splitlines())) + found[3]

    for lines in (r"(CREATE (?:UNLOGGED )?TABLE [^\n]* \(\n)(.*?)(\n\))", r"()((?:COMMENT ON COLUMN [^\n]*\n)+)()"):
        dump = re.sub(f"^{lines}", sort, dump, flags=re.MULTILINE | re.DOTALL)
    return dump


def _attempt(act: Any, migration: Any) -> str:
    """Calls `act`, and returns the first line of PostgreSQL's error, or an empty string."""
    try:
        act(migration)
    except psycopg.Error as error:
        return str(error).partition("\n")[0]
    return ""


def _silence() -> contextlib.redirect_stdout[io.StringIO]:
    return contextlib.redirect_stdout(io.StringIO())


def _fault(folder: Path, migration: Any, ending: str, rule: str, problem: str, remedy: str) -> Fault:
    return Fault(str(folder / f"{migration.id}{ending}"), 1, rule, problem, remedy)


def _pg_dump() -> Path:
    """Returns the newest pg_dump at hand, because it must not be older than the server."""
    try:
        return embedded.wheel_install() / "bin/pg_dump"
    except OperatorError:
        found = shutil.which("pg_dump")
        if found is None:
            raise TrialError("pg_dump is missing: install PostgreSQL's client programs") from None
        return Path(found)
