"""The command line as an operator sees it: real processes, their exit status and their output."""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from amplifier import paths
from amplifier.postgres import embedded
from tests.conftest import CONFIG, SECRET, private_folder, token, with_database
from tests.support.service import LIMIT, command, free_port, postgres_servers, running_service, wait_until

PASSWORD = "canary-7f3a"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home for the embedded PostgreSQL. No server runs in it after the test."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder / "home"
        wait_until(lambda: postgres_servers(folder) == [], explain=lambda: "a server was left behind")


@pytest.mark.slow
def test_first_start_serves_and_next_start_finds_data(home: Path) -> None:
    environ = {"AMPLIFIER_HOME": str(home)}
    with running_service(environ, limit=30) as service:
        config = httpx.post(f"{service.url}/configs", json=CONFIG).json()
        assert len(postgres_servers(home)) == 1
        assert service.interrupt() == 0, service.output
        assert postgres_servers(home) == []
    with running_service(environ) as service:
        assert httpx.get(f"{service.url}/configs/{config['config_id']}").json()["name"] == CONFIG["name"]
        assert service.stop() == 0, service.output
        assert postgres_servers(home) == []
        assert "Traceback" not in service.output


@pytest.mark.slow
def test_several_workers_serve_one_database_and_take_new_applications(home: Path) -> None:
    environ = {"AMPLIFIER_HOME": str(home), "SERVICE_WORKERS": "2", "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
    with running_service(environ) as service:
        made = command(environ, "applications", "create", "console", "--admin")
        assert made.returncode == 0, made.stderr
        assert re.fullmatch(r"app_\S+\n", made.stdout), "the key and nothing else"
        headers = {"X-API-Key": made.stdout.strip(), "Authorization": f"Bearer {token(sub='me')}"}
        for name in ("console", "Not A Name"):
            refused = command(environ, "applications", "create", name)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert re.fullmatch(r"amplifier-api: .*(already exists|app_id).*\n", refused.stderr), refused.stderr
        for _ in range(20):  # new connections, so that both workers get some
            listed = httpx.get(f"{service.url}/applications", headers=headers, verify=False)
            assert [application["app_id"] for application in listed.json()] == ["console"]
        assert made.stdout.strip() not in service.output
        assert service.interrupt() == 0, service.output
        assert postgres_servers(home) == []
        assert not _answers(service.url)


@pytest.mark.slow
def test_killed_service_ends_its_workers_and_database(home: Path) -> None:
    with running_service({"AMPLIFIER_HOME": str(home), "SERVICE_WORKERS": "2"}) as service:
        service.process.kill()
        service.process.wait(LIMIT)
        wait_until(lambda: postgres_servers(home) == [] and not _answers(service.url))


@pytest.mark.slow
def test_wrong_query_stops_start_with_place_and_reason(dsn: str, tmp_path: Path) -> None:
    queries = shutil.copytree(paths.folder("queries"), tmp_path / "queries")
    lines = (queries / "service.sql").read_text().splitlines()
    place = len(lines) + 7
    lines += ["", "-- name: broken()$", "-- Nothing.", "-- @return value", "-- @access public", "-- @shards local"]
    lines += ["-- @index  none", "select no_such_column", "from sessions;"]
    (queries / "service.sql").write_text("\n".join(lines) + "\n")
    done = command({"DATABASE_URL": dsn, "QUERIES_DIR": str(queries)}, "serve")
    assert done.returncode == 1
    assert f'{queries}/service.sql:{place + 1}: service.broken: column "no_such_column" does not exist' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_occupied_port_is_reported(dsn: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = command({"DATABASE_URL": dsn, "SERVICE_PORT": str(port)}, "serve")
    assert done.returncode > 0
    assert "address already in use" in done.stderr
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["serve"], ["migrate"]])
@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"SERVICE_PORT": "http"}, "SERVICE_PORT must be a port number from 1 to 65535, not 'http'"),
        ({"AUTH_REQUIRED": "true"}, "SECRET_KEY must be set to a secret of your own when AUTH_REQUIRED is true"),
        ({"DATABASE_URL": f"postgresql://me:{PASSWORD}/x@host/name"}, "DATABASE_URL must be of the form"),
    ],
)
def test_wrong_settings_are_reported_in_one_line(arguments: list[str], environ: dict[str, str], message: str) -> None:
    done = command(environ, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"amplifier-api: {message}")
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["serve"], ["applications", "create", "console"]])
@pytest.mark.parametrize("where", ["no such database", "no such host", "nobody listens"])
def test_unreachable_database_is_reported_without_password(arguments: list[str], where: str, server: str) -> None:
    url = {
        "no such database": with_database(server, "no_such_database"),
        "no such host": "postgresql://me@no-such-host.invalid/name",
        "nobody listens": f"postgresql://me@127.0.0.1:{free_port()}/name",
    }[where].replace("@", f":{PASSWORD}@", 1)
    done = command({"DATABASE_URL": url}, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.match(r"amplifier-api: .*(no_such_database|known|resol|refused|failed)", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr


def test_missing_embedded_postgresql_requires_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(embedded.EmbeddedError, match="set DATABASE_URL, or run: pip install"):
        embedded.wheel_install()


@pytest.mark.slow
def test_help_and_version_are_printed() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*\n", command({}, "--version").stdout)
    assert "serve" in command({}, "--help").stdout
    assert command({}).returncode == 2


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/version", timeout=5).is_success
    except httpx.TransportError:
        return False
