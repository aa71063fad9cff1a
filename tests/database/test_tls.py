"""DATABASE_SSL_MODE does what libpq's sslmode does, against servers with TLS, without, and under another name."""

import contextlib
import datetime
import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of
from amplifier.settings import Settings
from tests.conftest import private_folder

INSTALLS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL with TLS below /usr/lib/postgresql"),
]

MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
SERVERS = ("named", "misnamed", "plain")  # TLS as localhost, TLS as another host, no TLS
ROOTS = ("right", "wrong", "none", "missing")  # PGSSLROOTCERT, where missing names a file that is not there
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


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def issue(self, folder: Path, name: str, *alternatives: x509.GeneralName) -> None:
        """Writes `server.crt` and `server.key` for `name`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        extension = x509.SubjectAlternativeName(alternatives) if alternatives else None
        (folder / "server.crt").write_bytes(_pem(self._sign(subject, key, extension)))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "server.key").write_bytes(key.private_bytes(*form))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType | None
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        if extension is not None:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where servers and certificates are; `right.crt` signed the servers' certificates, `wrong.crt` did not."""
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[dict[str, int]]:
    """The servers' ports on 127.0.0.1."""
    right, wrong = Authority("right"), Authority("wrong")
    (folder / "right.crt").write_bytes(_pem(right.certificate))
    (folder / "wrong.crt").write_bytes(_pem(wrong.certificate))
    localhost = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    debian = INSTALLS[-1].parent.parent
    with contextlib.ExitStack() as stack:
        data = _initialise(folder, debian)
        (folder / ".postgresql").mkdir()
        shutil.copy(folder / "right.crt", folder / ".postgresql/root.crt")
        ports = {}
        for server in (*SERVERS, "common name"):
            own = shutil.copytree(data, folder / server)
            alternatives = {"named": localhost, "misnamed": (x509.DNSName("other.example"),)}.get(server, ())
            right.issue(own, "localhost", *alternatives)
            ports[server] = stack.enter_context(_running(debian, own, ssl=server != "plain"))
        yield ports


@pytest.fixture(autouse=True)
def _no_files_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor ~/.postgresql/root.crt of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("PG") or name.startswith("SSL_CERT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(("mode", "server", "root", "outcome"), CASES)
async def test_every_mode(
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
async def test_as_libpq(
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
async def test_the_systems_root_certificates(
    variables: dict[str, str], outcome: str, folder: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    for name, value in variables.items():
        monkeypatch.setenv(name, str(folder / value))
    assert (await _service("verify-full", ports["named"]), _libpq("verify-full", ports["named"])) == (outcome, outcome)
    assert await _service("verify-full", ports["misnamed"]) == REFUSED


def _libpq(mode: str, port: int, host: str = "localhost", user: str = embedded.ROLE) -> str:
    """What libpq makes of it."""
    try:
        with psycopg.connect(
            host=host, port=port, user=user, dbname="postgres", sslmode=mode, connect_timeout=5
        ) as connection:
            row = connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    except psycopg.OperationalError:
        return REFUSED
    return TLS if row == (True,) else CLEAR


async def _service(mode: str, port: int, host: str = "localhost", user: str = embedded.ROLE) -> str:
    """What the service makes of it."""
    settings = Settings(
        database_host=host, database_port=port, database_name="postgres", database_user=user, database_ssl_mode=mode
    )
    database = Database(settings, settings.dsn or "")
    try:
        await database.connect()
        async with database.connection() as connection:
            await connection.execute("set role none")  # the service's role may not see this of a login
            encrypted = await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    except Unavailable:
        return REFUSED
    finally:
        await database.close()
    return TLS if encrypted else CLEAR


def _initialise(folder: Path, install: Path) -> Path:
    data, account = folder / "data", account_of("amplifier-api")
    if account is not None:
        os.chown(folder, account.pw_uid, account.pw_gid)
    command = [str(install / "bin/initdb"), "-D", str(data), "-U", embedded.ROLE, "--auth=trust", "--no-sync"]
    with (folder / "initdb.log").open("w+b") as log:
        assert server_process.popen(command, account, log).wait(60) == 0, (folder / "initdb.log").read_text()
    with (data / "pg_hba.conf").open("w") as file:
        file.write("local all all trust\nhostssl all only_encrypted all trust\nhostnossl all only_in_clear all trust\n")
        file.write(f"host all {embedded.ROLE} all trust\n")
    return data


@contextlib.contextmanager
def _running(install: Path, data: Path, ssl: bool) -> Iterator[int]:
    account = account_of("amplifier-api")
    for path in (data, *data.rglob("*")):
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
    (data / "server.key").chmod(0o600)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(data), "ssl": "on" if ssl else "off"}
    command = [str(install / "bin/postgres"), "-D", str(data), "-p", str(port), "-c", "fsync=off"]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (data / "log").open("wb") as log:
        server = server_process.popen(command, account, log)
    try:
        address = f"postgresql://{embedded.ROLE}@127.0.0.1:{port}/postgres?sslmode=disable"
        assert server_process.is_ready(address, data, lambda: server.poll() is not None)
        with psycopg.connect(host=str(data), port=port, user=embedded.ROLE, dbname="postgres") as connection:
            connection.execute("create role amplifier_app")
            for name in ("only_encrypted", "only_in_clear"):
                connection.execute(f"create role {name} login in role amplifier_app")
        yield port
    finally:
        server_process.stop(server)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
