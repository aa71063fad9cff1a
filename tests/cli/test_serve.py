"""The output of `serve` when it starts, and when it cannot."""

import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amplifier import paths
from amplifier.cli import address, announcement
from amplifier.errors import OperatorError
from amplifier.postgres import embedded
from amplifier.setting_sources import load
from amplifier.settings import Settings
from tests.conftest import SECRET, private_folder
from tests.support.service import command, free_port, running_service

PASSWORD = "canary-51c0"


@pytest.fixture
def home() -> Iterator[Path]:
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder / "home"


def settings(environ: dict[str, str]) -> Settings:
    return load(environ, env_file="no such file")


def announced(environ: dict[str, str]) -> dict[str, str]:
    """Returns the facts that are announced, by name."""
    chosen = settings(environ)
    _, *lines = announcement.lines(chosen, chosen.dsn or "postgresql://amplifier@/postgres")
    return dict(line.split(maxsplit=1) for line in lines)


@pytest.mark.slow
def test_first_start_says_what_it_makes_and_where_it_is(home: Path) -> None:
    environ = {"AMPLIFIER_HOME": str(home), "SERVICE_WORKERS": "2"}
    with running_service(environ) as service:
        steps = [f"creating a PostgreSQL 18 in {home}/data\n", " applying ", f"  address   {service.url}\n"]
        steps += [f"  docs      {service.url}/docs\n", f"  database  embedded PostgreSQL, data in {home}\n"]
        steps += [
            "  callers   authentication is off: every request is of user dev-user, or of the one in X-User-ID\n",
            "Uvicorn",
        ]
        places = [service.output.index(step) for step in steps]
        assert places == sorted(places)
        assert service.output.count("  callers ") == 1, "not once for each worker"
    with running_service(environ) as service:
        assert "  database  embedded" in service.output
        assert not re.search("creating|applying", service.output)


def test_console_is_announced_where_it_is_served_and_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "CONSOLE", tmp_path)
    assert announced({})["console"] == "not built: run `make console`, and start again"
    (tmp_path / "index.html").touch()
    assert announced({})["console"] == "http://127.0.0.1:8765/console"
    assert "console" not in announced({"CONSOLE": "false"})


@pytest.mark.parametrize(
    ("environ", "database"),
    [
        ({"DATABASE_URL": f"postgresql://me:{PASSWORD}@db.example:6543/chats"}, "chats on db.example:6543, as me"),
        ({"DATABASE_URL": f"postgresql://db.example/chats?password={PASSWORD}"}, "chats on db.example"),
        ({"DATABASE_URL": "postgresql://me@/chats?host=/run/postgresql"}, "chats on /run/postgresql, as me"),
        ({"DATABASE_URL": "postgresql://"}, "the default database on the default server"),
        ({"DATABASE_HOST": "db", "DATABASE_PASSWORD": PASSWORD}, "amplifier on db:5432, as postgres"),
    ],
)
def test_database_is_announced_without_password(environ: dict[str, str], database: str) -> None:
    assert announced(environ)["database"] == database


@pytest.mark.slow
def test_start_without_a_database_names_the_doctor() -> None:
    started = command({"DATABASE_URL": f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/chats"}, "serve")
    assert started.returncode == 1
    assert started.stderr.endswith("; run: amplifier-api doctor\n")
    assert PASSWORD not in started.stderr


def test_start_continues_when_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as stderr:
        monkeypatch.setattr("sys.stderr", stderr)
        announcement.announce(settings({}), "postgresql://amplifier@/postgres")
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)


@pytest.mark.parametrize(
    ("environ", "callers"),
    [
        ({}, "application by key (X-API-Key), user by JWT (HS256, verified with SECRET_KEY)"),
        ({"AUTH_MODE": "jwt_only"}, "user and application by JWT (HS256, verified with SECRET_KEY)"),
        (
            {"API_KEY_HEADER": "X-Key", "JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY_URL": f"https://{PASSWORD}@keys/"},
            "application by key (X-Key), user by JWT (RS256, verified with JWT_PUBLIC_KEY_URL)",
        ),
    ],
)
def test_authentication_is_announced_without_secrets(environ: dict[str, str], callers: str) -> None:
    assert announced({"AUTH_REQUIRED": "true", "SECRET_KEY": SECRET, **environ})["callers"] == callers


@pytest.mark.parametrize(
    ("environ", "clear"),
    [
        ({}, True),
        ({"SECRET_KEY": "short"}, True),
        ({"SECRET_KEY": SECRET}, False),
        ({"CONFIG_ENCRYPTION_KEY": "any"}, False),
    ],
)
def test_secrets_in_clear_are_announced(environ: dict[str, str], clear: bool) -> None:
    said = announced(environ).get("secrets", "")
    assert said.startswith("in configs are stored in clear: set CONFIG_ENCRYPTION_KEY") == clear


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8765"),
        ("::1", "http://[::1]:8765"),
        ("0.0.0.0", "http://localhost:8765, on all addresses of this machine"),
    ],
)
def test_address_is_one_that_a_client_can_use(host: str, url: str) -> None:
    assert announced({"SERVICE_HOST": host})["address"] == url


def test_free_address_is_accepted_and_left_free() -> None:
    port = free_port()
    for _ in range(2):
        address.refuse_taken(settings({"SERVICE_PORT": str(port)}))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_occupied_port_is_refused(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OperatorError, match=f"{host}:{port}: address already in use: .*SERVICE_PORT"):
            address.refuse_taken(settings({"SERVICE_HOST": host, "SERVICE_PORT": str(port)}))


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_host_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(OperatorError, match=f"SERVICE_HOST={host} is no address of this machine"):
        address.refuse_taken(settings({"SERVICE_HOST": host}))


@pytest.mark.slow
def test_occupied_port_is_reported_in_one_line_before_a_database_is_made(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        environ = {"AMPLIFIER_HOME": str(home), "SERVICE_PORT": str(other.getsockname()[1])}
        done = command(environ, "serve")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "address already in use" in done.stderr
    assert not home.exists()


@pytest.mark.slow
def test_data_of_another_version_is_reported_in_one_line(home: Path) -> None:
    with embedded.running(home, "amplifier-api"):
        pass
    (home / "data/PG_VERSION").write_text("17\n")
    done = command({"AMPLIFIER_HOME": str(home), "SERVICE_PORT": str(free_port())}, "serve")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"{home}/data is the data of PostgreSQL 17, and this release brings PostgreSQL 18" in done.stderr
    assert "AMPLIFIER_HOME" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["serve", "migrate"])
def test_wrong_password_is_reported_in_one_line(name: str, home: Path) -> None:
    with embedded.running(home, "amplifier-api") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            (home / "data/pg_hba.conf").write_text("local all all scram-sha-256\n")
            connection.execute("select pg_reload_conf()")
        url = dsn.replace("amplifier@", f"amplifier:{PASSWORD}@", 1)
        done = command({"DATABASE_URL": url, "SERVICE_PORT": str(free_port())}, name)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert 'password authentication failed for user "amplifier"' in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.slow
def test_unreachable_server_is_reported_in_one_line() -> None:
    url = f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/name"
    done = command({"DATABASE_URL": url, "SERVICE_PORT": str(free_port())}, "serve")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "Connection refused" in done.stderr
