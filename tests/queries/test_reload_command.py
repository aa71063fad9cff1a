"""`amplifier-api queries reload` and SIGHUP: every process of running services reloads its queries."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from amplifier.database.connections import LISTENER
from amplifier.database.signatures import CHANNEL
from tests.queries.test_checks import edit
from tests.queries.test_reload import BROKEN, PING
from tests.support.service import LIMIT, Service, _environment, command, free_port, running_service, wait_until

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def service(dsn: str, folder: Path, **environ: str) -> Iterator[Service]:
    with running_service({"DATABASE_URL": dsn, "QUERIES_DIR": str(folder), **environ}) as one:
        yield one


def hashes(one: Service, count: int = 1) -> set[str]:
    """Returns the hashes in `count` responses. Each response comes from any of the workers."""
    answers = [httpx.get(f"{one.url}/health/queries", verify=False, timeout=LIMIT).json() for _ in range(count)]
    return {answer["hash"] for answer in answers}


def listeners(dsn: str) -> int:
    """Returns the number of processes that listen. A service is healthy before all of its workers are."""
    listening = (
        "select count(*) from pg_stat_activity"
        " where datname = current_database() and application_name = %s and query ~* %s"
    )
    with psycopg.connect(dsn, autocommit=True) as connection:
        [count] = connection.execute(listening, (LISTENER, "^(listen|select pg_notification)")).fetchone() or (0,)
    return int(count)


def test_command_reloads_all_processes_and_prints_reports(dsn: str, folder: Path) -> None:
    environ = {"DATABASE_URL": dsn}
    nobody = command(environ, "queries", "reload")
    assert (nobody.returncode, nobody.stderr) == (
        1,
        "amplifier-api: no process of the service listens on this database\n",
    )
    with service(dsn, folder) as one, service(dsn, folder, SERVICE_WORKERS="2") as several:
        wait_until(lambda: listeners(dsn) == 3)
        before = hashes(one)
        edit(folder, *PING)
        done = command(environ, "queries", "reload")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(re.findall(r"^\S+:\d+: serves \w{12}$", done.stdout, re.MULTILINE)) == 3
        after = hashes(one)
        assert hashes(several, 8) == after != before
        edit(folder, *BROKEN)
        refused = command(environ, "queries", "reload")
        assert refused.returncode == 1
        assert refused.stdout.count(f"stays with {after.copy().pop()}") == 3
        assert 'users.get: column "metadatum" does not exist' in refused.stdout
        assert hashes(one) == hashes(several, 8) == after
        assert 'column "metadatum" does not exist' in one.output


def test_command_counts_processes_without_report(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True, application_name=LISTENER) as mute:
        mute.execute(f"listen {CHANNEL}")
        done = command({"DATABASE_URL": dsn}, "queries", "reload", "--timeout", "0.5")
    assert (done.returncode, done.stdout) == (1, "")
    assert "1 of 1 processes did not answer" in done.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_reloads_all_processes(dsn: str, folder: Path, workers: str) -> None:
    with service(dsn, folder, SERVICE_WORKERS=workers) as one, service(dsn, folder) as other:
        before = hashes(one)
        edit(folder, *PING)
        one.process.send_signal(signal.SIGHUP)
        wait_until(lambda: hashes(other) != before, explain=lambda: one.output)
        after = hashes(other)
        wait_until(lambda: hashes(one, 8) == after, explain=lambda: one.output)
        assert one.process.poll() is None


def test_closed_terminal_ends_service(dsn: str, folder: Path) -> None:
    terminal, inner = pty.openpty()
    environ = _environment({"DATABASE_URL": dsn, "SERVICE_PORT": str(free_port())})
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "amplifier", "serve"], env=environ, stdin=inner, stdout=log, stderr=log
        )
        os.close(inner)
        try:
            url = f"http://127.0.0.1:{environ['SERVICE_PORT']}"
            Service(process, int(environ["SERVICE_PORT"]), log).wait_until_healthy()
            process.send_signal(signal.SIGHUP)
            assert httpx.get(f"{url}/health", verify=False).status_code == 200
            os.close(terminal)
            process.send_signal(signal.SIGHUP)
            assert process.wait(LIMIT) in (0, -signal.SIGTERM)
        finally:
            process.kill()
            process.wait(LIMIT)
