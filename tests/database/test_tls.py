"""DATABASE_SSL_MODE works as libpq's sslmode, with servers that have TLS, no TLS, or another name."""

import contextlib
import ipaddress
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509

from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.postgres import embedded
from amplifier.settings import Settings
from tests.conftest import private_folder
from tests.support.tls_servers import INSTALLS, Authority, initialise, pem, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL with TLS below /usr/lib/postgresql"),
]

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
SERVERS = ("named", "misnamed", "plain")  # TLS as localhost, TLS as another host, no TLS
ROOTS = ("right", "wrong", "none", "missing")  # PGSSLROOTCERT; `missing` names a file that does not exist
TLS, CLEAR, REFUSED = "tls", "clear", "refused"
LIBPQ = """
    disable     named     clear   clear   clear   clear
    disable     misnamed  clear   clear   clear   clear
    disable     plain     clear   clear   clear   clear
    prefer      named     tls     clear   tls     tls
    prefer      misnamed  tls     clear   tls     tls
    prefer      plain     clear   clear   clear   clear
    require     named     tls     refused tls     tls
    require     misnamed  tls     refused tls     tls
    require     plain     refused refused refused refused
    verify-ca   named     tls     refused refused refused
    verify-ca   misnamed  tls     refused refused refused
    verify-ca   plain     refused refused refused refused
    verify-full named     tls     refused refused refused
    verify-full misnamed  refused refused refused refused
    verify-full plain     refused refused refused refused
"""
CASES = [
    (mode, server, root, outcome)
    for mode, server, *outcomes in map(str.split, LIBPQ.strip().splitlines())
    for root, outcome in zip(ROOTS, outcomes, strict=True)
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of servers and certificates. `right.crt` signed the servers' certificates, `wrong.crt` did not."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[dict[str, int]]:
    """The servers' ports on 127.0.0.1."""
    right, wrong = Authority("right"), Authority("wrong")
    (folder / "right.crt").write_bytes(pem(right.certificate))
    (folder / "wrong.crt").write_bytes(pem(wrong.certificate))
    localhost = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    debian = INSTALLS[-1].parent.parent
    with contextlib.ExitStack() as stack:
        data = initialise(folder, debian)
        (folder / ".postgresql").mkdir()
        shutil.copy(folder / "right.crt", folder / ".postgresql/root.crt")
        ports = {}
        for server in (*SERVERS, "common name"):
            own = shutil.copytree(data, folder / server)
            alternatives = {"named": localhost, "misnamed": (x509.DNSName("other.example"),)}.get(server, ())
            right.issue(own, "localhost", *alternatives)
            ports[server] = stack.enter_context(running(debian, own, ssl=server != "plain"))
        yield ports


@pytest.fixture(autouse=True)
def _no_files_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides the variables and ~/.postgresql/root.crt of the user who runs the tests."""
    for name in [name for name in os.environ if name.startswith("PG") or name.startswith("SSL_CERT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("mode", "server", "root", "outcome"), CASES)
async def test_every_mode_has_the_outcome_of_libpq(
    mode: str,
    server: str,
    root: str,
    outcome: str,
    folder: Path,
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if root != "none":
        monkeypatch.setenv("PGSSLROOTCERT", str(folder / f"{root}.crt"))
    assert _libpq(mode, ports[server]) == outcome
    if (mode, root) == ("prefer", "wrong") and server != "plain":
        outcome = TLS  # libpq falls back to no TLS at all here
    assert await _service(mode, ports[server]) == outcome


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("server", ["named", "common name", "misnamed", "plain"])
@pytest.mark.parametrize(
    ("host", "user", "variables"),
    [
        ("127.0.0.1", embedded.ROLE, {"PGSSLROOTCERT": "{folder}/right.crt"}),
        ("localhost", embedded.ROLE, {"PGSSLROOTCERT": "{folder}/right.crt"}),
        ("localhost", embedded.ROLE, {"HOME": "{folder}"}),
        ("localhost", "only_encrypted", {}),
        ("localhost", "only_in_clear", {}),
        ("{folder}/{server}", embedded.ROLE, {}),
    ],
)
async def test_service_connects_where_libpq_does(
    mode: str,
    server: str,
    host: str,
    user: str,
    variables: dict[str, str],
    folder: Path,
    ports: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(folder=folder))
    host = host.format(folder=folder, server=server)
    assert await _service(mode, ports[server], host, user) == _libpq(mode, ports[server], host, user)


@pytest.mark.parametrize(
    ("variables", "outcome"),
    [({}, REFUSED), ({"SSL_CERT_FILE": "right.crt"}, TLS), ({"SSL_CERT_FILE": "wrong.crt"}, REFUSED)],
)
async def test_system_root_certificates_are_used(
    variables: dict[str, str], outcome: str, folder: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    for name, value in variables.items():
        monkeypatch.setenv(name, str(folder / value))
    assert (await _service("verify-full", ports["named"]), _libpq("verify-full", ports["named"])) == (outcome, outcome)
    assert await _service("verify-full", ports["misnamed"]) == REFUSED


def _libpq(mode: str, port: int, host: str = "localhost", user: str = embedded.ROLE) -> str:
    """Returns the outcome of a connection by libpq."""
    try:
        with psycopg.connect(
            host=host, port=port, user=user, dbname="postgres", sslmode=mode, connect_timeout=5
        ) as connection:
            row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    except psycopg.OperationalError:
        return REFUSED
    return TLS if row == (True,) else CLEAR


async def _service(mode: str, port: int, host: str = "localhost", user: str = embedded.ROLE) -> str:
    """Returns the outcome of a connection by the service's pool."""
    settings = Settings(
        database_host=host,
        database_port=str(port),
        database_name="postgres",
        database_user=user,
        database_ssl_mode=mode,
    )
    database = Database(settings, settings.dsn or "")
    try:
        await database.connect()
        async with database.connection() as connection:
            await connection.execute("set role none")  # the service's role may not read this about a login
            encrypted = await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    except Unavailable:
        return REFUSED
    finally:
        await database.close()
    return TLS if encrypted else CLEAR
