"""Doctor names what is wrong with certificates, of databases and of services."""

import contextlib
import ipaddress
import os
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from amplifier.postgres import embedded
from tests.conftest import private_folder
from tests.support.doctor import examined, listening, saying, used
from tests.support.tls_servers import INSTALLS, Authority, initialise, pem, running

HEALTHY = '{"status": "healthy", "version": "1", "uptime": 1, "database_connected": true}'
ANSWER = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(HEALTHY)}\r\n\r\n{HEALTHY}"
LOCALHOST = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
needs_tls = pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL with TLS below /usr/lib/postgresql")
SERVERS = {  # names and days of validity
    "good": (LOCALHOST, 60),
    "misnamed": ((x509.DNSName("other.example"),), 60),
    "expired": (LOCALHOST, -1),
    "expiring": (LOCALHOST, 3),
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a certificate for each of SERVERS; `right.crt` signed them, `wrong.crt` did not."""
    with private_folder() as folder:
        folder.chmod(0o755)
        right, wrong = Authority("right"), Authority("wrong")
        (folder / "right.crt").write_bytes(pem(right.certificate))
        (folder / "wrong.crt").write_bytes(pem(wrong.certificate))
        for name, (alternatives, days) in SERVERS.items():
            (folder / name).mkdir()
            right.issue(folder / name, "localhost", *alternatives, days=days)
        yield folder


@pytest.fixture(autouse=True)
def _no_files_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the variables and ~/.postgresql/root.crt of the user who runs the tests."""
    for name in [name for name in os.environ if name.startswith("PG") or name.startswith("SSL_CERT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("server", "roots", "status", "says"),
    [
        ("good", "right", "ok", "certificate for localhost, 127.0.0.1, valid until"),
        ("good", "wrong", "failed", "do not contain the one that signed it: CN=right"),
        ("good", "", "failed", "SSL_CERT_FILE"),
        ("misnamed", "right", "failed", "the certificate is not for localhost"),
        ("expired", "right", "failed", "the certificate has expired"),
        ("expiring", "right", "warning", "the certificate expires in 2 days"),
    ],
)
async def test_certificate_of_a_service_is_judged(
    server: str, roots: str, status: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if roots:
        monkeypatch.setenv("SSL_CERT_FILE", str(folder / f"{roots}.crt"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / server / "server.crt", folder / server / "server.key")
    async with listening(saying(ANSWER), context) as port:
        found = await used(f"https://localhost:{port}", "health")
    assert (found["TLS"].status, says in str(found["TLS"])) == (status, True), found["TLS"]
    assert found["health"].status == ("skipped" if status == "failed" else "ok"), found["health"]


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[dict[str, int]]:
    """The ports of PostgreSQL servers with these certificates, and of one without TLS."""
    debian = INSTALLS[-1].parent.parent
    with contextlib.ExitStack() as stack:
        data = initialise(folder, debian)
        ports = {}
        for server in (*SERVERS, "plain"):
            own = shutil.copytree(data, folder / f"data-{server}")
            for file in ("server.crt", "server.key"):
                shutil.copy(folder / ("good" if server == "plain" else server) / file, own / file)
            ports[server] = stack.enter_context(running(debian, own, ssl=server != "plain"))
        yield ports


CASES = [
    ("verify-full", "good", "right", "ok", "certificate for localhost"),
    ("verify-full", "good", "wrong", "failed", "do not contain the one that signed it: CN=right"),
    ("verify-full", "good", "missing", "failed", "the file with the root certificates cannot be read"),
    ("verify-full", "misnamed", "right", "failed", "the certificate is not for localhost"),
    ("verify-ca", "misnamed", "right", "ok", "certificate for other.example"),
    ("verify-full", "expired", "right", "failed", "the certificate has expired"),
    ("verify-full", "expiring", "right", "warning", "expires in 2 days"),
    ("verify-full", "plain", "right", "failed", "sslmode=verify-full demands it"),
    ("require", "good", "missing", "ok", "TLSv1.3"),
    ("require", "good", "wrong", "failed", "PGSSLROOTCERT"),
    ("disable", "good", "right", "skipped", "sslmode=disable does not use it"),
]


@needs_tls
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "server", "roots", "status", "says"), CASES)
async def test_certificate_of_a_database_is_judged_as_the_driver_does(
    mode: str,
    server: str,
    roots: str,
    status: str,
    says: str,
    folder: Path,
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(folder / f"{roots}.crt"))
    environ = {"DATABASE_HOST": "localhost", "DATABASE_PORT": str(ports[server]), "DATABASE_USER": embedded.ROLE}
    found = await examined(environ | {"DATABASE_NAME": "postgres", "DATABASE_SSL_MODE": mode}, "TLS", "sign-in")
    assert (found["TLS"].status, says in str(found["TLS"])) == (status, True), found["TLS"]
    assert found["sign-in"].status == ("skipped" if status == "failed" else "ok"), found["sign-in"]
