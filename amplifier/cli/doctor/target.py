"""The database that the checks examine, and what earlier checks of it found out for later ones."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from amplifier.cli.announcement import database_line
from amplifier.cli.doctor.findings import Fault, Outcome, failed, ok, skipped, warning
from amplifier.cli.doctor.network import Host
from amplifier.database.pool import Database
from amplifier.errors import OperatorError
from amplifier.postgres import embedded, os_user, server_process
from amplifier.secret import Secret
from amplifier.settings import Settings

_LOCAL_SSL_MODES = ("disable", "allow", "prefer")


class Target:
    """The configured or embedded database. Checks fill in what they find."""

    settings: Settings
    dsn: str
    connection: "asyncpg.Connection[Any]"  # of the login itself, in one transaction, so that a pooler cannot change it
    pool: Database  # as the service opens it

    def __init__(self, load: Callable[[], Settings]) -> None:
        self._load = load
        self.is_signed_in = self.is_pooled = self.has_pool = False
        self.is_behind_pooler = False
        self.addresses: list[str] = []
        self.parts: dict[str, str] = {}
        self._password: Secret | None = None

    async def load(self) -> Outcome:
        """Loads the settings, and finds variables whose names are almost those of settings."""
        try:
            self.settings = self._load()
        except OperatorError as error:
            return failed(str(error), "a setting is wrong", _settings_remedy())
        known = {field.encode_name for field in msgspec.structs.fields(Settings)}
        count = len([name for name in known if os.environ.get(name)])
        seen = f"{count} variable{'' if count == 1 else 's'} of the environment{_file()}"
        if misspelt := _misspelt(known):
            names = ", ".join(f"{name} (is {right} meant?)" for name, right in misspelt.items())
            return warning(
                seen, f"no setting is called {names}", "correct the names: docs/settings.md lists all of them"
            )
        return ok(seen)

    async def choose(self) -> Outcome:
        """Chooses the database: the configured one, or the embedded one if it runs already."""
        home = self.settings.home
        if self.settings.dsn is not None:
            self._take(self.settings.dsn)
            return ok(database_line(self.settings, self.settings.dsn))
        try:
            embedded.wheel_install()
            os_user.refuse_foreign(home)
            os_user.refuse_closed_parents(home, _account(self.settings.amplifier_user))
            dsn = embedded.address(home)
        except OperatorError as error:
            return failed("none is configured", str(error), "set DATABASE_URL, or make the embedded PostgreSQL usable")
        if server_process.postmaster(home / "data/postmaster.pid") is None:
            return ok(f"none is configured: serve starts the embedded PostgreSQL, with its data in {home}")
        self._take(embedded.service_address(dsn))
        return ok(f"embedded PostgreSQL, data in {home}")

    def _take(self, dsn: str) -> None:
        from psycopg import pq
        from psycopg.conninfo import conninfo_to_dict

        # what the URL does not say may be in PGHOST, PGUSER and so on, which the service's driver reads, too
        for option in pq.Conninfo.get_defaults():
            if option.val:
                self.parts[option.keyword.decode()] = option.val.decode()
        self.parts |= {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
        self.dsn = dsn
        if password := self.parts.get("password"):
            self._password = Secret(password)  # no finding shows its text, also if it is from PGPASSWORD

    @property
    def is_chosen(self) -> bool:
        """False if the embedded PostgreSQL does not run."""
        return bool(self.parts)

    @property
    def hosts(self) -> list[Host]:
        """The hosts of the address, in its order. Empty if the driver's default is used."""
        setting = "DATABASE_HOST" if self.settings.database_url is None else "DATABASE_URL"
        names = (self.parts.get("host") or self.parts.get("hostaddr") or "").split(",")
        ports = (self.parts.get("port") or "5432").split(",")
        return [
            Host(name, int(ports[min(place, len(ports) - 1)] or 5432), setting)
            for place, name in enumerate(names)
            if name
        ]

    @property
    def host(self) -> str:
        """The first host, or an empty text."""
        return self.hosts[0].name if self.hosts else ""

    @property
    def user(self) -> str:
        """The login."""
        return self.parts.get("user", "")

    @property
    def database(self) -> str:
        """The name of the database."""
        return self.parts.get("dbname") or self.user

    @property
    def ssl_mode(self) -> str:
        """The mode of TLS, as libpq understands it."""
        return self.parts.get("sslmode", "prefer")

    @property
    def may_be_in_clear(self) -> bool:
        """True if the mode accepts a server without TLS."""
        return self.ssl_mode in _LOCAL_SSL_MODES

    @property
    def is_through_pooler(self) -> bool:
        """True if the settings say that the address is that of a pooler in transaction mode."""
        return self.settings.is_pooler(self.dsn)

    def remote_hosts(self) -> list[Host]:
        """Returns the hosts that are no Unix sockets. Raises Unexamined if there are none."""
        if not self.is_chosen:
            raise Unexamined("because the embedded PostgreSQL does not run: serve starts it")
        if not self.hosts:
            raise Unexamined("because no host is configured: the driver looks for a server on this machine")
        if all(host.is_socket for host in self.hosts):
            raise Unexamined("because the database is reached through a Unix socket")
        return [host for host in self.hosts if not host.is_socket]

    async def row(self, statement: str, *arguments: object) -> Any:
        """Returns the one row of a statement on the signed-in connection."""
        return await self.connection.fetchrow(statement, *arguments)

    async def close(self) -> None:
        """Closes the connections."""
        if self.is_signed_in:
            self.connection.terminate()
        if self.has_pool:
            await self.pool.close()


class Unexamined(Fault):
    """Raised by a check that does not apply, with the reason."""

    def __init__(self, reason: str) -> None:
        Exception.__init__(self, reason)
        self.outcome = skipped(reason)


def _account(user: str) -> pwd.struct_passwd | None:
    """Returns the account that PostgreSQL runs as when root starts it, if there is one already. Else None."""
    try:
        return pwd.getpwnam(user) if os.geteuid() == 0 else None
    except KeyError:
        return None


def _file() -> str:
    file = Path(".env").absolute()
    return f", and the file {file}" if file.is_file() else ""


def _settings_remedy() -> str:
    remedy = "correct the variable in the environment or in .env: docs/settings.md says what each takes"
    if any(os.environ.get(name, "").startswith("tcp://") for name in ("DATABASE_PORT", "SERVICE_PORT")):
        remedy += (
            "\nKubernetes sets this variable for a Service of that name: enableServiceLinks: false in the pod's spec"
        )
    return remedy


def _misspelt(known: set[str]) -> dict[str, str]:
    """Returns variables of the environment that are almost called as a setting, with the name of that setting."""
    import difflib

    prefixes = {name.partition("_")[0] for name in known}
    unknown = [name for name in os.environ if name not in known and name.partition("_")[0] in prefixes]
    matches = {name: difflib.get_close_matches(name, known, 1, 0.87) for name in unknown}
    return {name: match[0] for name, match in matches.items() if match and match[0] not in os.environ}
