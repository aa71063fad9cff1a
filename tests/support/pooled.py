"""A migrated PostgreSQL server for tests of poolers, and the poolers in front of it."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest

from amplifier.postgres import embedded
from amplifier.schema import migrate, service_login
from amplifier.settings import Settings
from tests.conftest import private_folder, settings_for
from tests.support import pgbouncer
from tests.support.tls_servers import INSTALLS, Authority, initialise, running

needs_server = pytest.mark.skipif(not INSTALLS, reason="no PostgreSQL below /usr/lib/postgresql")
needs_old = pytest.mark.skipif(not pgbouncer.has_old(), reason="no PgBouncer older than 1.21 is installed")
needs_new = pytest.mark.skipif(
    not pgbouncer.has_new(), reason="no PgBouncer of 1.21 or newer: name an image in TEST_PGBOUNCER_IMAGE"
)
_LOGINS = ("api", "unsettled", "owner", "amplifier_service", embedded.ROLE)


class Server(NamedTuple):
    """A server with a migrated database `chats` of the login `owner`. No login needs a password."""

    port: int

    def url(self, login: str = "api", port: int | None = None) -> str:
        """Returns the address of the database, or of a pooler on another port."""
        return f"postgresql://{login}@127.0.0.1:{port or self.port}/chats"

    def run(self, statement: str) -> list[Any]:
        """Runs a statement as an administrator."""
        with psycopg.connect(self.url(embedded.ROLE), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def environ(self, pooler: pgbouncer.Pooler, login: str = "api") -> dict[str, str]:
        """Returns the settings of a service behind a pooler, as variables."""
        return {
            "DATABASE_URL": self.url(login, pooler.port),
            "DATABASE_POOLER": "transaction",
            "DATABASE_LISTEN_URL": f"postgresql://127.0.0.1:{self.port}",
        }

    def settings(self, pooler: pgbouncer.Pooler, login: str = "api", **changes: Any) -> Settings:
        """Returns the same as Settings."""
        behind = {"database_pooler": "transaction", "database_listen_url": self.url(login)}
        return settings_for(self.url(login, pooler.port), **behind | changes)

    @contextlib.contextmanager
    def pooled(self, new: bool = True, **options: object) -> Iterator[pgbouncer.Pooler]:
        """Runs a pooler in front of the server."""
        with private_folder() as folder:
            folder.chmod(0o755)
            with pgbouncer.running(folder, self.port, new, users=" ".join(_LOGINS), **options) as pooler:
                yield pooler


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Runs a server. Its login `api` has the settings that a pooler needs, `unsettled` has not."""
    install = INSTALLS[-1].parent.parent
    with private_folder() as folder:
        folder.chmod(0o755)
        data = initialise(folder, install)
        with (data / "pg_hba.conf").open("a") as file:
            file.write("host all all 127.0.0.1/32 trust\n")
        Authority("any").issue(data, "localhost")
        with running(install, data, ssl=False) as port:
            server = Server(port)
            _make_database(server)
            yield server


def _make_database(server: Server) -> None:
    with psycopg.connect(f"postgresql://{embedded.ROLE}@127.0.0.1:{server.port}/postgres", autocommit=True) as admin:
        admin.execute("create role owner login createrole")
        admin.execute("grant amplifier_app to owner with admin option")
        admin.execute("create role amplifier_readonly")
        admin.execute("create database chats owner owner")
    migrate.migrate(server.url("owner"))
    for login in ("api", "unsettled"):
        service_login.ensure(server.url("owner"), login)
    service_login.settle(server.url("owner"), "api", settings_for(server.url()))
