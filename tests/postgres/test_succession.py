"""Several processes share one embedded PostgreSQL, and another one takes it over when the one that runs it ends."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.errors import OperatorError
from amplifier.postgres import embedded
from amplifier.schema import migrate
from tests.conftest import private_folder
from tests.postgres.conftest import USER
from tests.postgres.test_embedded import OWNER
from tests.support.service import LIMIT, Service, command, postgres_servers, running_service, wait_until

pytestmark = pytest.mark.slow

CONFIG = {"name": "kept", "config_data": {"bundle": {"name": "kept"}}}


@pytest.fixture(scope="module")
def migrated() -> Iterator[Path]:
    """A home with the schema applied."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with embedded.running(folder / "home", USER) as dsn:
            migrate.migrate(dsn)
        yield folder / "home"


@pytest.fixture
def home(migrated: Path) -> Iterator[Path]:
    """The migrated home. Fails if a server still runs in it after the test."""
    yield migrated
    assert postgres_servers(migrated) == [], "a server was left behind"


@contextlib.contextmanager
def first(home: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Yields a process that runs the server of `home` until its standard input ends, and the server's address."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def serves(service: Service) -> bool:
    """Returns whether the service responds and can write."""
    with contextlib.suppress(httpx.HTTPError):
        if httpx.get(f"{service.url}/health", timeout=5).json()["status"] == "healthy":
            return httpx.post(f"{service.url}/configs", json=CONFIG, timeout=5).status_code == 201
    return False


def environ(home: Path) -> dict[str, str]:
    """Returns the environment of a service on the home."""
    return {"AMPLIFIER_HOME": str(home), "AMPLIFIER_USER": USER}


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_second_service_takes_over(home: Path, end: signal.Signals) -> None:
    with running_service(environ(home)) as one:
        servers = postgres_servers(home)
        with running_service(environ(home)) as two:
            assert postgres_servers(home) == servers
            one.process.send_signal(end)
            one.process.wait(LIMIT)
            wait_until(lambda: serves(two), LIMIT, lambda: two.output)
            assert len(postgres_servers(home)) == 1
            assert postgres_servers(home) != servers
            with running_service(environ(home)) as three:
                two.stop()
                wait_until(lambda: serves(three), LIMIT, lambda: three.output)


@pytest.mark.parametrize(
    "moment",
    [
        "count(*) > 0",  # during migrations
        "count(*) filter (where application_name = 'amplifier-api') > 0",  # during the check of the queries
        "count(*) filter (where application_name ~ 'listener') > 0",  # when it starts to serve
    ],
)
def test_service_started_during_shutdown_of_first_serves(home: Path, moment: str) -> None:
    """The first process stops at the moment when the second one has such a connection."""
    with first(home) as (process, dsn), psycopg.connect(dsn, autocommit=True) as connection:
        activity = "pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"

        def stop_at_the_moment() -> None:
            def come() -> bool:
                return connection.execute(f"select {moment} from {activity}".encode()).fetchone() == (True,)

            wait_until(come, LIMIT)
            connection.close()
            assert process.stdin is not None
            process.stdin.close()
            process.wait(LIMIT)

        with started(environ(home), stop_at_the_moment) as service:
            wait_until(lambda: serves(service), LIMIT, lambda: service.output)
            assert len(postgres_servers(home)) == 1


@contextlib.contextmanager
def started(environ: dict[str, str], meanwhile: Any) -> Iterator[Service]:
    """Runs a service like `running_service`, and calls `meanwhile` in a thread during its start."""
    import threading

    failed: list[BaseException] = []

    def run() -> None:
        try:
            meanwhile()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with running_service(environ, 2 * LIMIT) as service:
            thread.join(LIMIT)
            assert failed == []
            yield service
    finally:
        thread.join(LIMIT)


def test_commands_work_during_service(home: Path) -> None:
    with running_service(environ(home)):
        done = command(environ(home), "queries", "check")
        assert (done.returncode, done.stderr) == (0, "")


def test_failing_step_is_not_repeated(home: Path) -> None:
    steps = []

    def fail() -> None:
        steps.append(1)
        raise OperatorError("wrong")

    with embedded.running(home, USER) as dsn, pytest.raises(OperatorError, match="wrong"):
        embedded.outlasting(home, dsn, fail)
    assert steps == [1]
