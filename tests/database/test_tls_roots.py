"""`verify-full` takes the system's root certificates, and a refused certificate is explained in words."""

import contextlib
import ipaddress
import os
import re
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from cryptography import x509

from amplifier import libpq, tls_roots
from amplifier.database.pool import Database
from amplifier.errors import Unavailable
from amplifier.postgres import embedded
from amplifier.setting_sources import load
from tests.conftest import private_folder
from tests.support.service import command
from tests.support.tls_servers import INSTALLS, Authority, initialise, pem, running

NAMES = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
slow = pytest.mark.slow
needs_tls = pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL with TLS below /usr/lib/postgresql")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with private_folder() as folder:
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def ports(folder: Path) -> Iterator[dict[str, int]]:
    """The ports of servers with certificates of the system's authority; that of `unknown` is of another one."""
    system, other = Authority("system"), Authority("other")
    (folder / "roots.crt").write_bytes(pem(system.certificate))
    (folder / "other.crt").write_bytes(pem(other.certificate))
    install = INSTALLS[-1].parent.parent
    issued = {"right": (system, NAMES, 1), "misnamed": (system, (x509.DNSName("other.example"),), 1)}
    issued |= {"expired": (system, NAMES, -1), "unknown": (other, NAMES, 1)}
    with contextlib.ExitStack() as stack:
        data, ports = initialise(folder, install), {}
        for name, (authority, alternatives, days) in issued.items():
            own = shutil.copytree(data, folder / name)
            authority.issue(own, "localhost", *alternatives, days=days)
            ports[name] = stack.enter_context(running(install, own, ssl=True))
        yield ports


@pytest.fixture(autouse=True)
def _no_roots_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PG", "SSL_CERT"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def system(folder: Path, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The ports, with the authority's certificate among the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "roots.crt"))
    return ports


def address(port: int, **more: str) -> str:
    """Returns the address from settings with nothing but the mode."""
    environ = {"DATABASE_HOST": "localhost", "DATABASE_NAME": "postgres", "DATABASE_USER": embedded.ROLE}
    environ |= {"DATABASE_PORT": str(port), "DATABASE_SSL_MODE": "verify-full"} | more
    return load(environ, env_file="/nonexistent").dsn or ""


@slow
@needs_tls
async def test_mode_alone_verifies_for_both_drivers_and_psql(system: dict[str, int]) -> None:
    dsn = address(system["right"])
    with libpq.connect(dsn) as connection:
        assert connection.execute("select ssl from pg_stat_ssl where pid = pg_backend_pid()").fetchone() == (True,)
    assert await _service(dsn) is True
    environ = {"DATABASE_URL": dsn, "HOME": os.environ["HOME"]}
    done = command(environ, "psql", "--no-psqlrc", "-Atc", "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    assert (done.returncode, done.stdout) == (0, "t\n"), done.stderr


@slow
@needs_tls
@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("misnamed", "does not match host name"),
        ("expired", "is not valid at this time .certificate has expired.: renew it, or set the clock"),
        ("unknown", "not among the root certificates in .*roots.crt .*: name the file .* in PGSSLROOTCERT"),
    ],
)
async def test_refused_certificate_is_explained(system: dict[str, int], server: str, words: str) -> None:
    dsn = address(system[server])
    with pytest.raises(psycopg.OperationalError, match=words):
        libpq.connect(dsn)
    assert await _service(dsn) is False
    if server != "misnamed":  # which psql says itself
        done = command({"DATABASE_URL": dsn, "HOME": os.environ["HOME"]}, "psql", "--no-psqlrc", "-Atc", "select 1")
        assert (done.returncode, bool(re.search(words, done.stderr))) == (2, True), done.stderr


@slow
@needs_tls
async def test_named_root_certificate_takes_precedence(
    system: dict[str, int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", str(folder / "other.crt"))
    dsn = address(system["unknown"])
    libpq.connect(dsn).close()
    assert await _service(dsn) is True
    with pytest.raises(psycopg.OperationalError, match=r"not among the root certificates in .*other\.crt"):
        libpq.connect(address(system["right"]))


@slow
@needs_tls
async def test_system_root_certificates_may_be_named(system: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    libpq.connect(address(system["right"])).close()
    assert await _service(address(system["right"])) is True


def test_other_modes_and_sockets_are_left_as_they_are() -> None:
    for url in (
        "postgresql://h/d?sslmode=verify-ca",
        "postgresql://h/d",
        "postgresql:///d?host=/run&sslmode=verify-full",
    ):
        assert tls_roots.with_roots(url) == url


@pytest.mark.skipif(not Path("/etc/debian_version").exists(), reason="the system is not Debian")
def test_roots_of_debian_contain_those_of_azure() -> None:
    known = str(ssl.create_default_context(cafile=tls_roots.bundle()).get_ca_certs())
    for name in ("DigiCert Global Root G2", "Microsoft RSA Root Certificate Authority 2017", "DigiCert Global Root CA"):
        assert f"'commonName', '{name}'" in known


def test_certifi_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    monkeypatch.setattr(tls_roots, "_BUNDLES", ())
    monkeypatch.setattr(tls_roots.ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=None))
    assert tls_roots.bundle() == certifi.where()


async def _service(dsn: str) -> bool:
    """Returns whether the service's pool connects."""
    database = Database(load({"DATABASE_URL": dsn}, env_file="/nonexistent"), dsn)
    try:
        await database.connect()
    except Unavailable:
        return False
    finally:
        await database.close()
    return True
