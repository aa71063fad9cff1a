"""The embedded PostgreSQL is private, keeps its data, is shared by processes, and ends with the last of them.

Homes that are refused or unusual are in `test_embedded_homes.py`.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplifier.postgres.embedded import running
from tests.postgres.conftest import USER, as_root, run
from tests.support.service import LIMIT, postgres_servers, wait_until

pytestmark = pytest.mark.slow

OWNER = """
import sys
from pathlib import Path
from amplifier.postgres.embedded import running
with running(Path(sys.argv[1]), "amplifier-api") as dsn:
    print(dsn, flush=True)
    sys.stdin.read()
"""


def test_first_start_makes_private_server_with_unicode(folder: Path) -> None:
    home = folder / "new/home"
    with running(home, USER) as dsn:
        assert run(dsn, "select lower('ÉCOLE'), current_setting('server_encoding')") == [("école", "UTF8")]
        assert run(dsn, "select current_setting('data_checksums'), current_setting('listen_addresses')") == [("on", "")]
        assert {_mode(path) for path in (home, home / "run", home / "data")} == {0o700}
        assert _mode(next((home / "run").glob(".s.PGSQL.*[0-9]"))) == 0o700
        assert not list(home.glob("*.partial"))


def test_next_start_finds_data(home: Path) -> None:
    for _ in range(2):
        with running(home, USER) as dsn:
            assert run(dsn, "select one from kept") == [(1,)]
        assert postgres_servers(home) == []


@as_root
def test_other_users_cannot_connect(home: Path) -> None:
    with running(home, USER) as dsn:
        path = next((home / "run").glob(".s.PGSQL.*[0-9]"))
        with _nobody(), socket.socket(socket.AF_UNIX) as client, pytest.raises(PermissionError):
            client.connect(str(path))
        for opened in (home, home / "run", path):  # authentication also refuses users who can reach the socket
            opened.chmod(0o777)
        with _nobody(), pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(dsn)


def test_second_process_joins_server(home: Path) -> None:
    with running(home, USER) as dsn:
        started = run(dsn, "select pg_postmaster_start_time()")
        with running(home, USER) as joined, _owner(home) as (_, address):
            for other in (joined, address):
                assert run(other, "select pg_postmaster_start_time()") == started
            assert len(postgres_servers(home)) == 1
        assert run(dsn, "select one from kept") == [(1,)], "who joined does not stop it"


def test_process_started_during_initdb_joins_server(folder: Path) -> None:
    found: list[Any] = []

    def start() -> None:
        with running(folder / "home", USER) as dsn:
            found.append(run(dsn, "select pg_postmaster_start_time()"))
            together.wait(LIMIT)

    together = threading.Barrier(3)
    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    assert found == [found[0]] * 3


def test_killed_process_ends_its_server_without_data_loss(home: Path) -> None:
    with _owner(home) as (process, dsn):
        run(dsn, "create table made as select 2 as two")
        process.kill()
        process.wait(LIMIT)
        wait_until(lambda: postgres_servers(home) == [])
    with running(home, USER) as again:
        assert run(again, "select two from made") == [(2,)]


def test_orphaned_server_is_stopped(home: Path) -> None:
    with _owner(home) as (process, dsn):
        orphan = postgres_servers(home)[0]
        os.kill(orphan, signal.SIGSTOP)  # so that it survives the end of its parent for a moment
        process.kill()
        process.wait(LIMIT)
        timer = threading.Timer(0.3, os.kill, (orphan, signal.SIGCONT))
        timer.start()
        with running(home, USER) as again:
            assert again == dsn
            assert run(again, "select one from kept") == [(1,)]
            assert orphan not in postgres_servers(home)
        timer.join(LIMIT)


@as_root
def test_foreign_server_with_old_process_id_keeps_running(home: Path, folder: Path) -> None:
    shutil.copytree(home, folder / "other")
    subprocess.run(["chown", "-R", "nobody", folder / "other"], check=True, timeout=LIMIT)
    with running(folder / "other", "nobody") as dsn:
        (home / "data/postmaster.pid").write_text(f"{postgres_servers(folder)[0]}\n{home / 'data'}\n1\n5432\n")
        with running(home, USER) as mine:
            assert run(mine, "select one from kept") == run(dsn, "select one from kept") == [(1,)]


def test_interrupted_initialisation_is_repeated(folder: Path) -> None:
    home = folder / "home"
    (home / "data.partial").mkdir(parents=True)
    (home / "data.partial/PG_VERSION").write_text("18\n")
    with _python(home) as process:
        wait_until(lambda: bool(list(home.glob("data.partial-*/base"))))
        process.kill()
        process.wait(LIMIT)
    with running(home, USER) as dsn:
        assert run(dsn, "select 1") == [(1,)]
        assert not list(home.glob("data.partial*"))


@contextlib.contextmanager
def _python(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Starts another process, which runs the server of `home` until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.communicate(timeout=LIMIT)


@contextlib.contextmanager
def _owner(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    with _python(home) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@contextlib.contextmanager
def _nobody() -> Iterator[None]:
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
