"""The image is built from the Containerfile and runs with a PostgreSQL in another container."""

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import httpx
import msgspec
import pytest
import yaml
from docker.models.containers import Container
from docker.models.images import Image
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.network import Network

from amplifier.settings import Settings
from tests.conftest import CONFIG, SECRET, token
from tests.support.databases import engine_answers
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("container")]

LIMIT = 60.0  # seconds for anything but the build
PASSWORD = "p@ss:w/o rd%$?#"  # characters that break a URL

HEALTHCHECK = re.compile(r"^HEALTHCHECK .* CMD (\[.*\])$", re.MULTILINE)

Run = Callable[..., Container]


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    """A client of the container engine."""
    if not engine_answers():
        pytest.skip("no container engine answers: start Docker, or name the engine's socket in DOCKER_HOST")
    client = docker.from_env(timeout=LIMIT)
    yield client
    client.close()


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> Iterator[Image]:
    """The image, on the base TEST_PYTHON_IMAGE. The engine keeps its layers, which makes the next build short."""
    base = os.environ.get("TEST_PYTHON_IMAGE", "docker.io/library/python:3.13-slim")
    _obtain(engine, base)
    with contextlib.closing(docker.from_env(timeout=600)) as patient:
        built, _ = patient.images.build(
            path=str(ROOT),
            dockerfile="Containerfile",
            buildargs={"BASE": base},
            tag=f"amplifier-api-test:{os.getpid()}",
            rm=True,
            forcerm=True,
        )
    yield built
    engine.images.remove(built.id, force=True)


@pytest.fixture(scope="module")
def network(engine: docker.DockerClient) -> Iterator[Network]:
    """A network whose containers reach each other by name."""
    with Network() as network:
        yield network


@pytest.fixture(scope="module")
def server(engine: docker.DockerClient, image: Image, network: Network) -> Iterator[PostgresContainer]:
    """A PostgreSQL server with the name `database` on the network."""
    name = os.environ.get("TEST_POSTGRES_IMAGE", "docker.io/library/postgres:18")
    _obtain(engine, name)
    container = PostgresContainer(name, username="amplifier", password=PASSWORD, driver=None)
    with container.with_network(network).with_network_aliases("database") as server:
        yield server


@pytest.fixture
def run(engine: docker.DockerClient, image: Image, network: Network, server: PostgresContainer) -> Iterator[Run]:
    """Starts a command of `amplifier-api` in a container, on an empty database for the test."""
    name = f"test_{time.monotonic_ns()}"
    assert server.exec(["createdb", "--username=amplifier", name]).exit_code == 0
    environment = {
        "DATABASE_HOST": "database",
        "DATABASE_NAME": name,
        "DATABASE_USER": "amplifier",
        "DATABASE_PASSWORD": PASSWORD,
        "DATABASE_STATEMENT_TIMEOUT": "2",
        "AUTH_REQUIRED": "true",
        "SECRET_KEY": SECRET,
    }
    with contextlib.ExitStack() as stack:

        def start(*command: str, **options: Any) -> Container:
            container = engine.containers.create(
                image.id, list(command), environment=environment, network=network.name, **options
            )
            stack.callback(container.remove, force=True, v=True)
            container.start()
            return container

        yield start


def test_image_migrates_serves_and_stops(
    engine: docker.DockerClient, run: Run, server: PostgresContainer, network: Network
) -> None:
    assert finish(run("migrate"))[0] == 0
    service = run("serve", ports={"8765/tcp": None}, read_only=True)
    with client_of(service, server.get_container_host_ip()) as client:
        key = execute(service, "amplifier-api", "applications", "create", "app")[1].splitlines()[-1]
        client.headers = {"X-API-Key": key, "Authorization": f"Bearer {token(sub='alice')}"}
        config_id = client.post("/configs", json=CONFIG).json()["config_id"]
        session_id = client.post("/sessions", json={"config_id": config_id}).json()["session_id"]
        message = {"role": "user", "content": "hi"}
        path = f"/sessions/{session_id}/transcript"
        assert client.post(path, json={"messages": [message]}).status_code == 201
        assert client.get(path).json()["messages"][0]["message"] == message

    healthcheck = json.loads(HEALTHCHECK.findall((ROOT / "Containerfile").read_text().replace("\\\n", ""))[0])
    assert execute(service, *healthcheck)[0] == 0
    engine.networks.get(network.name).disconnect(service)
    assert execute(service, *healthcheck) == (1, "")  # the service says so: no traceback of a request that failed

    started = time.monotonic()
    service.stop(timeout=30)
    assert time.monotonic() - started < 10
    assert finish(service)[0] == 0


def test_image_is_lean_and_unprivileged(run: Run) -> None:
    script = (
        "import os, shutil, amplifier.paths as paths;"
        "print(os.getuid(), [name for name in ('gcc', 'cc', 'make', 'node', 'npm') if shutil.which(name)]);"
        "print(sorted(file.name for file in paths.folder('queries').glob('*.sql')));"
        "print((paths.CONSOLE / 'index.html').is_file())"
    )
    status, output = finish(run("-c", script, entrypoint=["python3"]))
    packaged = sorted(file.name for file in (ROOT / "queries").glob("*.sql"))
    assert (status, output.splitlines()) == (0, ["10001 []", str(packaged), "True"])


def test_image_contains_what_azure_telemetry_and_agents_need(run: Run) -> None:
    script = (
        "import amplifier_core, anthropic, azure.identity, azure.keyvault.secrets, detect_secrets, openai, re2;"
        "import azure.monitor.opentelemetry.exporter, opentelemetry.exporter.otlp.proto.http.trace_exporter, ssl;"
        "paths = ssl.get_default_verify_paths(); print(bool(paths.cafile or paths.capath))"
    )
    assert finish(run("-c", script, entrypoint=["python3"])) == (0, "True\n")


def test_wrong_query_prevents_start(run: Run, tmp_path: Path) -> None:
    assert finish(run("migrate"))[0] == 0
    lines = (ROOT / "queries/sessions.sql").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text == "from session_participants as p")
    lines[line - 1] = "from no_such_table as p"
    for file in (ROOT / "queries").glob("*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "sessions.sql").write_text("\n".join(lines))
    tmp_path.chmod(0o755)
    status, output = finish(run("serve", volumes={str(tmp_path): {"bind": "/app/queries", "mode": "ro,z"}}))
    assert status == 1
    assert f"/app/queries/sessions.sql:{line}: " in output
    assert 'relation "no_such_table" does not exist' in json.loads(output.splitlines()[-1])["message"]


def test_serve_refuses_database_without_schema(run: Run) -> None:
    status, output = finish(run("serve"))
    assert status == 1
    assert "amplifier-api migrate" in output


def test_compose_file_starts_the_service() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    api, migrate = services["api"], services["migrate"]
    assert api["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert migrate["depends_on"]["database"] == {"condition": "service_healthy"}
    assert [port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:") for port in api["ports"]] == [True]
    assert api["environment"]["AUTH_REQUIRED"] == "${AUTH_REQUIRED:-true}"
    for secret in (api["environment"]["SECRET_KEY"], services["database"]["environment"]["POSTGRES_PASSWORD"]):
        assert ":?" in secret
    for secret in (api["environment"]["DATABASE_PASSWORD"], migrate["environment"]["DATABASE_SERVICE_PASSWORD"]):
        assert secret.startswith("${DATABASE_SERVICE_PASSWORD:?")
    assert api["environment"]["DATABASE_USER"] == Settings().database_service_user
    for service in services.values():
        assert service["mem_limit"]
        assert service["pids_limit"]
    assert "POSTGRES_PASSWORD" not in str(api["environment"]), "the service must not know the owner's password"
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    passed = {name for name in (*api["environment"], *migrate["environment"]) if not name.startswith("OTEL_")}
    assert passed <= known


def _obtain(engine: docker.DockerClient, image: str) -> None:
    """Pulls the image if it is missing. Skips the test if that fails."""
    try:
        engine.images.get(image)
    except docker.errors.ImageNotFound:
        try:
            engine.images.pull(image)
        except docker.errors.APIError as error:
            pytest.skip(f"the image {image} cannot be pulled: {error.explanation}")


@contextlib.contextmanager
def client_of(service: Container, host: str) -> Iterator[httpx.Client]:
    """Returns a client of the service as soon as it is healthy."""
    service.reload()
    port = service.ports["8765/tcp"][0]["HostPort"]
    deadline = time.monotonic() + LIMIT
    with httpx.Client(base_url=f"http://{host}:{port}", timeout=10, trust_env=False) as client:
        while True:
            try:
                assert client.get("/health").json()["status"] == "healthy"
                break
            except httpx.TransportError:
                service.reload()
                assert service.status == "running", service.logs().decode()
                assert time.monotonic() < deadline, service.logs().decode()
                time.sleep(0.1)
        yield client


def finish(container: Container) -> tuple[int, str]:
    """Waits for the end of a container. Returns its exit status and output."""
    status = container.wait(timeout=LIMIT)["StatusCode"]
    return status, container.logs().decode()


def execute(container: Container, *command: str) -> tuple[int, str]:
    """Runs a command in a running container. Returns its exit status and output."""
    result = container.exec_run(list(command))
    return result.exit_code, result.output.decode()
