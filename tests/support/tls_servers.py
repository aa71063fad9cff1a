"""PostgreSQL servers with TLS, and a certificate authority that issues their certificates."""

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of

INSTALLS = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


class Authority:
    """A certificate authority for the tests."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))

    def issue(self, folder: Path, name: str, *alternatives: x509.GeneralName, days: float = 1) -> None:
        """Writes `server.crt` and `server.key` for `name`, valid from two days ago until in `days`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        extension = x509.SubjectAlternativeName(alternatives) if alternatives else None
        (folder / "server.crt").write_bytes(pem(self._sign(subject, key, extension, days)))
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "server.key").write_bytes(key.private_bytes(*form))

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType | None, days: float = 1
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(2)).not_valid_after(now + datetime.timedelta(days))
        if extension is not None:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        # Python 3.13 demands the identifiers, and of an authority the usage
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(own, critical=False)
        if key is self._key:
            names = ("crl_sign", "data_encipherment", "content_commitment", "decipher_only", "encipher_only")
            others = dict.fromkeys((*names, "key_agreement", "key_encipherment"), False)
            usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, **others)
            builder = builder.add_extension(usage, critical=True)
        return builder.sign(self._key, hashes.SHA256())


def initialise(folder: Path, install: Path) -> Path:
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
def running(install: Path, data: Path, ssl: bool) -> Iterator[int]:
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


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
