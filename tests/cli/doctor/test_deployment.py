"""doctor --url uses a real service, directly and behind proxies that are wrong, and deletes what it made."""

import argparse
import asyncio
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from amplifier.cli.doctor.command import _url
from amplifier.cli.doctor.credentials import credentials
from amplifier.cli.doctor.deployment import Deployment
from amplifier.errors import InputError
from amplifier.setting_sources import load
from tests.conftest import SECRET, private_folder, token
from tests.support.doctor import Answer, listening, saying, used
from tests.support.proxies import asked, buffering, forgetting, passing, refusing, renaming, request
from tests.support.service import LIMIT, Service, command, running_service
from tests.support.tls_servers import Authority, pem

WRONG = "HTTP/1.1 {}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service without authentication, with a database of its own."""
    with private_folder() as folder:
        folder.chmod(0o755)
        with running_service({"AMPLIFIER_HOME": str(folder / "home")}) as service:
            yield service


@pytest.fixture
def port(service: Service) -> int:
    """The port of the service."""
    return int(service.url.rpartition(":")[2])


@pytest.fixture
async def nothing_left(service: Service) -> AsyncIterator[None]:
    """Checks after the test that it left no session and no config."""
    yield
    async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
        assert (await client.get("/sessions")).json()["total"] == 0
        assert (await client.get("/configs")).json()["configs"] == []


@pytest.mark.slow
async def test_service_passes_and_nothing_is_left(service: Service, nothing_left: None) -> None:
    found = await used(service.url)
    assert {name for name, one in found.items() if one.status != "ok"} == {"TLS"}, found
    assert found["TLS"].seen == "because the address is http, on this machine"
    assert re.fullmatch(r"deleted: (/sessions/[\w-]+, ){2}/configs/[\w-]+", found["delete"].seen)


async def proxied(answer: Answer, *names: str, context: ssl.SSLContext | None = None) -> dict[str, str]:
    """Returns what the findings through a proxy say, by name, with the status first."""
    async with listening(answer, context) as port:
        scheme = "http" if context is None else "https"
        found = await used(f"{scheme}://localhost:{port}", *names)
    return {name: f"{one.status}: {one.seen}; {one.problem}; {one.remedy}" for name, one in found.items()}


@pytest.mark.slow
async def test_proxy_that_buffers_is_named(port: int, nothing_left: None) -> None:
    said = await proxied(buffering(port), "events", "WebSocket")
    assert said["events"].startswith("failed: the event of a message arrives only when the stream ends")
    assert "proxy_buffering off" in said["events"]
    assert said["WebSocket"].startswith("failed: ")
    assert "Upgrade $http_upgrade" in said["WebSocket"]
    assert said["delete"].startswith("ok: deleted: /sessions/")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beginning", "status", "check", "says"),
    [
        ("GET /health ", "502 Bad Gateway", "health", "KEEP_ALIVE of the service must be longer"),
        ("GET /health ", "504 Gateway Timeout", "health", "the proxy gets no answer from the service"),
        ("GET /health ", "404 Not Found", "health", "ROOT_PATH"),
        ("GET /health ", "301 Moved\r\nlocation: https://x.example/health", "health", "--url https://x.example"),
        ("POST /configs", "403 Forbidden", "create", "web application firewall"),
        ("POST /configs", "429 Too Many Requests", "create", "RATE_LIMIT_REQUESTS_PER_MINUTE"),
        ("GET /search", "503 Unavailable", "search", "GET /health/ready"),
        ("POST /sessions/", "413 Too Large", "append", "client_max_body_size"),
        ("POST /sessions ", "500 Oops", "create", "the answer is an error"),
    ],
)
async def test_answer_of_a_proxy_is_named_and_nothing_is_left(
    beginning: str, status: str, check: str, says: str, port: int, nothing_left: None
) -> None:
    said = await proxied(refusing(port, beginning, WRONG.format(status)), check)
    assert said[check].startswith("failed: ")
    assert says in said[check]


@pytest.mark.slow
async def test_config_whose_answer_was_lost_is_deleted(port: int, nothing_left: None) -> None:
    said = await proxied(forgetting(port, "POST /configs"), "append")
    assert said["create"].startswith("failed: POST /configs: ")
    assert said["append"].startswith("skipped")
    assert said["delete"].startswith("ok: deleted: /configs/")


@pytest.mark.slow
async def test_refused_deletion_of_a_session_fails_and_leaves_nothing(port: int, nothing_left: None) -> None:
    said = await proxied(refusing(port, "DELETE /sessions", WRONG.format("405 Not Allowed")), "read")
    assert said["read"].startswith("ok")
    assert said["delete"].startswith("failed: DELETE /sessions/")
    assert "curl" not in said["delete"], "the config took its sessions along"


@pytest.mark.slow
async def test_things_that_cannot_be_deleted_are_listed(port: int, service: Service, nothing_left: None) -> None:
    said = await proxied(refusing(port, "DELETE ", WRONG.format("405 Not Allowed")), "create")
    assert "let the proxy pass GET, POST, PUT, PATCH and DELETE on" in said["delete"]
    left = re.findall(r"^curl -X DELETE http://localhost:\d+(/[\w/-]+)$", said["delete"], re.MULTILINE)
    async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
        assert [(await client.delete(path)).status_code for path in left] == [200, 200]


@pytest.mark.slow
async def test_service_behind_tls_passes(port: int, nothing_left: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with private_folder() as folder:
        authority = Authority("own")
        authority.issue(folder, "localhost", x509.DNSName("localhost"), days=60)
        (folder / "own.crt").write_bytes(pem(authority.certificate))
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / "own.crt"))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        said = await proxied(passing(port), context=context)
    assert [name for name, text in said.items() if not text.startswith("ok")] == []
    assert "59 days left" in said["TLS"]


@pytest.mark.slow
async def test_foreign_host_is_named(port: int, nothing_left: None) -> None:
    said = await proxied(renaming(port, "api.example"), "sign-in")
    assert "421, The service does not answer to this Host" in said["sign-in"]
    assert said["sign-in"].endswith("let the proxy pass the header Host on:\nALLOWED_HOSTS=localhost")


@pytest.mark.slow
def test_credentials_are_demanded_and_used() -> None:
    with private_folder() as home:
        home.chmod(0o755)
        environ = {"AMPLIFIER_HOME": str(home / "home"), "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
        with running_service(environ) as service:
            key = command(environ, "applications", "create", "doctor").stdout.strip()
            (home / "key").write_text(f"{key}\n")
            (home / "token").write_text(token(sub="mia"))
            files = ["--api-key-file", str(home / "key"), "--token-file", str(home / "token")]
            refused = command({}, "doctor", "--url", service.url)
            given = command({}, "doctor", "--url", service.url, *files)
            made = command({"SECRET_KEY": SECRET, "AMPLIFIER_API_KEY": key}, "doctor", "--url", service.url, "--json")
    assert refused.returncode == 1
    assert "problem: the credentials are missing or refused" in refused.stdout
    assert "amplifier-api applications create doctor" in refused.stdout
    assert (given.returncode, "sign-in              as mia" in given.stdout) == (0, True), given.stdout
    assert (made.returncode, '"seen": "as amplifier-doctor"' in made.stdout) == (0, True), made.stdout
    shown = refused.stdout + given.stdout + made.stdout + refused.stderr + given.stderr + made.stderr
    assert not any(secret in shown for secret in (key, SECRET, (token(sub="mia")).split(".")[1]))


async def interrupted(port: int, folder: Path, deletes: bool) -> tuple[int | None, str]:
    """Interrupts the command at its search, through a proxy that does not pass deletions on unless `deletes` is true.

    Returns its exit status and output.
    """
    reached = asyncio.Event()

    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, body = await request(reader)
        if head.startswith(b"GET /search"):
            reached.set()
            await reader.read(-1)
        elif deletes or not head.startswith(b"DELETE"):
            writer.write(await asked(port, head, body))
            await writer.drain()

    async with listening(stuck) as proxy:
        arguments = [sys.executable, "-m", "amplifier", "doctor", "--url", f"http://localhost:{proxy}"]
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(LIMIT):
            await reached.wait()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(LIMIT):
            out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.slow
async def test_interrupted_command_deletes_what_it_made(port: int, nothing_left: None, tmp_path: Path) -> None:
    status, out = await interrupted(port, tmp_path, deletes=True)
    assert (status, "Traceback" in out, "curl" in out) == (0, False, False), out


@pytest.mark.slow
async def test_interrupted_command_lists_what_it_could_not_delete(
    port: int, service: Service, nothing_left: None, tmp_path: Path
) -> None:
    status, out = await interrupted(port, tmp_path, deletes=False)
    assert (status, "Traceback" in out) == (0, False), out
    left = re.findall(r"^curl -X DELETE http://localhost:\d+(/[\w/-]+)$", out, re.MULTILINE)
    async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
        assert [(await client.delete(path)).status_code for path in left] == [200, 200]


@pytest.mark.parametrize(
    "url", ["api.example", "ftp://api.example", "https://me:secret@api.example", "https://x:99999"]
)
def test_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"form|range"):
        Deployment(url)
    with pytest.raises(argparse.ArgumentTypeError, match="must be of the form https://host:port/path"):
        _url(url)


def test_credentials_come_from_files_then_variables_then_the_secret_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load({"SECRET_KEY": SECRET, "JWT_AUDIENCE": "chats"}, env_file="no such file")
    made = credentials(settings, None, None)
    assert made.origin == "token made with SECRET_KEY for amplifier-doctor"
    monkeypatch.setenv("AMPLIFIER_API_KEY", "app_variable")
    monkeypatch.setenv("AMPLIFIER_TOKEN", "variable.of.token")
    (tmp_path / "key").write_text("app_file\n")
    found = credentials(settings, tmp_path / "key", None)
    assert found.headers == {"X-API-Key": "app_file", "Authorization": "Bearer variable.of.token"}
    (tmp_path / "key").write_text("two\nlines")
    for file in (tmp_path / "key", tmp_path / "missing"):
        with pytest.raises(InputError):
            credentials(settings, file, None)
    assert credentials(load({}, env_file="no such file"), None, None).headers["Authorization"].endswith("of.token")


async def test_another_program_is_not_taken_for_the_service() -> None:
    answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    said = await proxied(saying(answer), "health")
    assert said["health"].startswith("failed: GET /health has no status; another program than Amplifier")


async def test_service_without_database_is_not_used() -> None:
    body = '{"status": "degraded", "version": "1"}'
    answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"
    said = await proxied(saying(answer), "create")
    assert "the service does not reach its database" in said["health"]
    assert (said["create"][:7], said["delete"]) == ("skipped", "skipped: because nothing was made; None; None")


async def test_service_that_is_not_ready_says_why() -> None:
    body = '{"detail": "The schema of the database is behind", "checks": {"database": true, "schema": false}}'
    answer = (
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )
    async with listening(saying(answer)) as port:
        outcome = await Deployment(f"http://127.0.0.1:{port}").ready()
    assert (outcome.status, outcome.seen) == ("failed", "GET /health/ready: 503, schema")
    assert outcome.problem == "The schema of the database is behind"


async def test_clock_of_a_service_is_read_from_its_header() -> None:
    answer = "HTTP/1.1 200 OK\r\ndate: Mon, 30 Nov 2026 07:00:00 GMT\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    async with listening(saying(answer)) as port:
        deployment = Deployment(f"http://127.0.0.1:{port}")
        near, far = [await deployment.clock(lambda: 1796022000.0 + late) for late in (1, 300)]  # noqa: B023
    assert (near.status, far.status) == ("ok", "failed")
    assert far.seen == "the service is 300 s behind this machine"
