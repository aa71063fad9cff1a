"""The embedded PostgreSQL: private, kept from start to start, shared by processes, and never left behind."""

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

from amplifier.postgres import embedded
from amplifier.postgres.embedded import EmbeddedError, running
from tests.conftest import private_folder
from tests.support.service import LIMIT, postgres_servers, wait_until

pytestmark = pytest.mark.slow

USER = "amplifier-api"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")
OWNER = """
import sys
from pathlib import Path
from amplifier.postgres.embedded import running
with running(Path(sys.argv[1]), "amplifier-api") as dsn:
    print(dsn, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for homes."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder
        assert postgres_servers(folder) == [], "a server was left behind"


@pytest.fixture(scope="module")
def used_home() -> Iterator[Path]:
    """A home with data, for all tests that leave it as usable as it was."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with running(folder / "home", USER) as dsn:
            _run(dsn, "create table kept as select 1 as one")
        yield folder / "home"


@pytest.fixture
def home(used_home: Path) -> Iterator[Path]:
    """The home with data, and no server after the test."""
    yield used_home
    assert postgres_servers(used_home) == [], "a server was left behind"


def test_a_fresh_start_makes_a_private_server_with_checksums_and_unicode(folder: Path) -> None:
    home = folder / "new/home"
    with running(home, USER) as dsn:
        assert _run(dsn, "select lower('ÉCOLE'), current_setting('server_encoding')") == [("école", "UTF8")]
        assert _run(dsn, "select current_setting('data_checksums'), current_setting('listen_addresses')") == [
            ("on", "")
        ]
        assert {_mode(path) for path in (home, home / "run", home / "data")} == {0o700}
        assert _mode(next((home / "run").glob(".s.PGSQL.*[0-9]"))) == 0o700
        assert not list(home.glob("*.partial"))


def test_the_next_start_finds_the_data(home: Path) -> None:
    for _ in range(2):
        with running(home, USER) as dsn:
            assert _run(dsn, "select one from kept") == [(1,)]
        assert postgres_servers(home) == []


@as_root
def test_other_users_cannot_connect(home: Path) -> None:
    with running(home, USER) as dsn:
        path = next((home / "run").glob(".s.PGSQL.*[0-9]"))
        with _nobody(), socket.socket(socket.AF_UNIX) as client, pytest.raises(PermissionError):
            client.connect(str(path))
        for opened in (home, home / "run", path):  # even when somebody opens all doors
            opened.chmod(0o777)
        with _nobody(), pytest.raises(psycopg.OperationalError, match="Peer authentication failed"):
            psycopg.connect(dsn)


def test_who_comes_second_joins(home: Path) -> None:
    with running(home, USER) as dsn:
        started = _run(dsn, "select pg_postmaster_start_time()")
        with running(home, USER) as joined, _owner(home) as (_, address):
            for other in (joined, address):
                assert _run(other, "select pg_postmaster_start_time()") == started
            assert len(postgres_servers(home)) == 1
        assert _run(dsn, "select one from kept") == [(1,)], "who joined does not stop it"


def test_who_comes_while_the_first_initialises_joins(folder: Path) -> None:
    found: list[Any] = []

    def start() -> None:
        with running(folder / "home", USER) as dsn:
            found.append(_run(dsn, "select pg_postmaster_start_time()"))
            together.wait(LIMIT)

    together = threading.Barrier(3)
    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LIMIT)
    assert found == [found[0]] * 3


def test_a_killed_process_takes_its_server_along_and_does_no_damage(home: Path) -> None:
    with _owner(home) as (process, dsn):
        _run(dsn, "create table made as select 2 as two")
        process.kill()
        process.wait(LIMIT)
        wait_until(lambda: postgres_servers(home) == [])
    with running(home, USER) as again:
        assert _run(again, "select two from made") == [(2,)]


def test_a_server_that_is_left_behind_is_ended(home: Path) -> None:
    with _owner(home) as (process, dsn):
        orphan = postgres_servers(home)[0]
        os.kill(orphan, signal.SIGSTOP)  # so that the end of its parent does not end it yet
        process.kill()
        process.wait(LIMIT)
        timer = threading.Timer(0.3, os.kill, (orphan, signal.SIGCONT))
        timer.start()
        with running(home, USER) as again:
            assert again == dsn
            assert _run(again, "select one from kept") == [(1,)]
            assert orphan not in postgres_servers(home)
        timer.join(LIMIT)


@as_root
def test_another_server_with_the_old_process_id_is_left_alone(home: Path, folder: Path) -> None:
    shutil.copytree(home, folder / "other")
    subprocess.run(["chown", "-R", "nobody", folder / "other"], check=True, timeout=LIMIT)
    with running(folder / "other", "nobody") as dsn:
        (home / "data/postmaster.pid").write_text(f"{postgres_servers(folder)[0]}\n{home / 'data'}\n1\n5432\n")
        with running(home, USER) as mine:
            assert _run(mine, "select one from kept") == _run(dsn, "select one from kept") == [(1,)]


def test_an_initialisation_that_was_interrupted_is_done_again(folder: Path) -> None:
    home = folder / "home"
    (home / "data.partial").mkdir(parents=True)
    (home / "data.partial/PG_VERSION").write_text("18\n")
    with _python(home) as process:
        wait_until(lambda: bool(list(home.glob("data.partial-*/base"))))
        process.kill()
        process.wait(LIMIT)
    with running(home, USER) as dsn:
        assert _run(dsn, "select 1") == [(1,)]
        assert not list(home.glob("data.partial*"))


def test_a_home_that_is_too_long_for_a_socket_is_refused(folder: Path) -> None:
    home = folder / ("x" * 100)
    with (
        pytest.raises(EmbeddedError, match="is too long for a socket's path: choose a shorter one"),
        running(home, USER),
    ):
        pass


def test_a_home_may_have_any_name(home: Path, folder: Path) -> None:
    other = home.rename(folder / "a b+c%20d?e&f=g#h'é")
    with running(other, USER) as dsn:
        assert _run(dsn, "select one from kept") == [(1,)]
    other.rename(home)


def test_a_folder_of_somebody_elses_is_left_as_it_is(folder: Path) -> None:
    (folder / "letter").write_text("dear")
    with pytest.raises(EmbeddedError, match="has other files in it"), running(folder, USER):
        pass
    assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o755, os.geteuid())
    assert [path.name for path in folder.iterdir()] == ["letter"]


@as_root
def test_a_home_below_a_closed_folder_is_refused_and_the_folder_named(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"because {closed} is closed to it"), running(closed / "deep/home", USER):
        pass


@as_root
def test_an_installation_that_is_closed_to_the_account_is_copied(folder: Path, home: Path) -> None:
    install = folder / "closed/install"
    (folder / "closed").mkdir(mode=0o700)
    shutil.copytree(embedded.wheel_install(), install, symlinks=True)
    subprocess.run(["chmod", "-R", "go=", install], check=True, timeout=LIMIT)  # as under umask 077
    for _ in range(2):
        with running(home, USER, install) as dsn:
            assert _run(dsn, "select one from kept") == [(1,)]
            assert list(home.glob("postgresql-*/bin/postgres"))


def test_a_server_that_does_not_start_says_why(home: Path) -> None:
    (home / "data/postgresql.auto.conf").write_text("no_such_setting = on\n")
    with pytest.raises(EmbeddedError, match=r"(?s)PostgreSQL did not start:.*no_such_setting"), running(home, USER):
        pass
    (home / "data/postgresql.auto.conf").write_text("")


@contextlib.contextmanager
def _python(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs the server of `home` until its standard input ends."""
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


def _run(dsn: str, statement: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
