"""A PostgreSQL server that takes one token as password, the one that the server of Entra issues at the time.

It demands TLS, and its certificate is of an authority that only `SSL_CERT_FILE` makes one of the system's.
"""

import contextlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509
from psycopg.sql import SQL, Identifier, Literal

from amplifier.postgres import embedded
from tests.conftest import private_folder
from tests.support import entra_server
from tests.support.entra_server import EntraServer
from tests.support.tls_servers import INSTALLS, Authority, initialise, pem, running

ADMINISTRATOR, SERVICE = "id-migrate", "id-service"  # as identities of Azure are called
# as Azure's servers have it, in the database postgres only
_FUNCTION = """
create function pgaadauth_create_principal(name text, is_admin boolean, is_mfa boolean) returns text
language plpgsql security definer as $$
begin
    execute format('create role %I login password %L', name, (select token from tokens));
    return format('Created role for %s', name);
end
$$
"""


class EntraDatabase:
    """The database `amplifier`, which belongs to the administrator, and the server that issues tokens for it."""

    def __init__(self, data: Path, port: int, roots: Path, entra: EntraServer) -> None:
        self._data = data
        self.port, self.roots, self.entra = port, roots, entra
        self._next, self._token = entra.token, ""
        entra.token = lambda: self._token  # type: ignore[method-assign]
        self.sql("drop role only_encrypted, only_in_clear, amplifier_app")
        self.sql(f'create role "{ADMINISTRATOR}" login createrole')
        self.sql(f'create database amplifier owner "{ADMINISTRATOR}"')
        self.sql("create table tokens as select null::text as token")
        self.sql(_FUNCTION)
        self.rotate()

    def environ(self, user: str = SERVICE) -> dict[str, str]:
        """Returns the settings for one of the two principals."""
        return self.entra.environ | {
            "DATABASE_HOST": "localhost",
            "DATABASE_PORT": str(self.port),
            "DATABASE_USER": user,
            "DATABASE_AUTH": "entra",
            "DATABASE_SSL_MODE": "verify-full",
            "SSL_CERT_FILE": str(self.roots),
            "HOME": "/nonexistent",
            "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
        }

    def sql(self, statement: Any, database: str = "postgres") -> list[Any]:
        """Runs a statement as superuser and returns its rows."""
        with psycopg.connect(
            host=str(self._data), port=self.port, user=embedded.ROLE, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def rotate(self) -> None:
        """Replaces the token. From now on the former one is refused."""
        self._token = self._next() + "x" * 3000  # as long as those of Entra
        self.sql(SQL("update tokens set token = {}").format(Literal(self._token)))
        for (name,) in self.sql("select rolname from pg_roles where rolname like 'id-%'"):
            self.sql(SQL("alter role {} password {}").format(Identifier(name), Literal(self._token)))

    def end_connections(self) -> None:
        """Ends all connections to the database `amplifier`."""
        self.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = 'amplifier'")


@contextlib.contextmanager
def serving() -> Iterator[EntraDatabase]:
    """Runs both servers during the context."""
    authority = Authority("of nobody's system")
    install = INSTALLS[-1].parent.parent
    with private_folder() as folder, entra_server.running() as entra:
        folder.chmod(0o755)
        data = initialise(folder, install)
        (data / "pg_hba.conf").write_text(
            f"local all all trust\nhost all {embedded.ROLE} all trust\nhostssl all all all password\n"
        )
        names = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        authority.issue(data, "localhost", *names)
        (folder / "roots.crt").write_bytes(pem(authority.certificate))
        with running(install, data, ssl=True) as port:
            yield EntraDatabase(data, port, folder / "roots.crt", entra)
