"""The start of an embedded server, and the files of a new home: from initdb, or a copy of prepared ones."""

import logging
import os
import pwd
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from amplifier.postgres import prepared
from amplifier.postgres.os_user import EmbeddedError, make_private
from amplifier.postgres.server_process import popen, stop, stop_orphan, tail

ROLE = "amplifier"  # the owner of the database and everything in it
SERVICE = "amplifier_service"  # the login of `serve`
_INITDB_LIMIT = 300.0  # seconds for initdb

logger = logging.getLogger(__name__)


class Start:
    """The start of the server of a home, with the files that it makes if there are none.

    `is_copy` tells that the files are a copy of prepared ones, and have not been used.
    """

    def __init__(
        self,
        home: Path,
        install: Path,
        account: pwd.struct_passwd | None,
        cached: Path | None,
        meanwhile: Callable[[bool], object],
    ) -> None:
        self._home, self._install, self._account, self._meanwhile = home, install, account, meanwhile
        self._cached, self._entry = cached, Path()
        self._data, self.is_copy = home / "data", False
        self._ran = False

    def server(self) -> subprocess.Popen[bytes]:
        """Starts the server. Raises EmbeddedError."""
        sockets = self._home / "run"
        make_private(sockets, self._account)
        if not (self._data / "PG_VERSION").exists():
            self._make()
        stop_orphan(self._data)
        _let_in(self._data, self._account)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(sockets),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
        }
        command = [str(self._install / "bin/postgres"), "-D", str(self._data), "-p", "5432"]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self._home / "postgresql.log").open("ab") as log:
            server = popen(command, self._account, log)
        try:
            self._pass_time(False)
        except BaseException:
            stop(server)
            raise
        return server

    def forget(self) -> None:
        """Removes a copy with which the server did not start, and what it is a copy of."""
        logger.warning("the prepared cluster in %s does not start, and is removed", self._entry)
        prepared.discard(self._entry)
        prepared.discard(self._data)
        self._cached, self.is_copy = None, False

    def _pass_time(self, makes: bool) -> None:
        if not self._ran:
            self._ran = True
            self._meanwhile(makes)

    def _make(self) -> None:
        """Creates the data folder under a temporary name, then renames it: an interrupted start leaves no partial one.

        Raises EmbeddedError.
        """
        # named after the process: an initdb whose parent was killed may run for a moment, and removes its folder
        new = self._home / f"data.partial-{os.getpid()}"
        for left in self._home.glob("data.partial*"):
            shutil.rmtree(left, ignore_errors=True)
        self.is_copy = self._copy(new)
        if not self.is_copy:
            logger.info("creating a PostgreSQL %d in %s", _major(self._install), self._data)
            self._initialise(new)
        (new / "pg_hba.conf").write_text("local all all peer map=amplifier\n")
        (new / "pg_ident.conf").write_text("")
        new.rename(self._data)

    def _copy(self, new: Path) -> bool:
        if self._cached is None:
            return False
        self._entry = prepared.entry(self._cached, self._install, options_of(self._install))
        if not prepared.is_kept(self._entry):
            return False
        done: list[bool] = []
        arguments = self._entry, new, self._install, self._account
        thread = threading.Thread(target=lambda: done.append(prepared.copy(*arguments)), daemon=True)
        thread.start()
        self._pass_time(False)
        thread.join()
        return done == [True]

    def _initialise(self, new: Path) -> None:
        command = [str(self._install / "bin/initdb"), "-D", str(new), *options_of(self._install)]
        with (self._home / "initdb.log").open("w+b") as log:
            process = popen(command, self._account, log)
            self._pass_time(True)
            if process.wait(_INITDB_LIMIT) != 0:
                raise EmbeddedError(f"initdb failed:\n{tail(self._home / 'initdb.log')}")


def options_of(install: Path) -> list[str]:
    """Returns the options of initdb for a new cluster."""
    builtin = _major(install) >= 17
    # without a Unicode-aware locale lower('É') returns 'É', and a search for école would not find ÉCOLE
    locale = (
        ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if builtin else ["--locale=C.UTF-8"]
    )
    return ["-U", ROLE, "--encoding=UTF8", "--data-checksums", *locale, "--auth-local=peer", "--auth-host=reject"]


def failure(home: Path, install: Path) -> str:
    """Returns why the server did not start."""
    found, brought = (home / "data/PG_VERSION").read_text().strip(), _major(install)
    if found != str(brought):
        return (
            f"{home / 'data'} is the data of PostgreSQL {found}, and this release brings PostgreSQL {brought}: set "
            f"AMPLIFIER_HOME to another folder, or dump the data with PostgreSQL {found} and restore it there"
        )
    return f"PostgreSQL did not start:\n{tail(home / 'postgresql.log')}"


def _let_in(data: Path, account: pwd.struct_passwd | None) -> None:
    """Lets the owner of this process, and the server's account, log in with both roles.

    Data folders of earlier releases allow less.
    """
    owners = {pwd.getpwuid(os.geteuid()).pw_name, *([account.pw_name] if account else [])}
    idents = data / "pg_ident.conf"
    known = idents.read_text().splitlines()
    with idents.open("a") as file:
        lines = (f'amplifier "{owner}" {role}' for owner in sorted(owners) for role in (ROLE, SERVICE))
        file.writelines(f"{line}\n" for line in lines if line not in known)


@cache
def _major(install: Path) -> int:
    output = subprocess.run(  # noqa: S603
        [install / "bin/postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    return int(output.split()[-1].partition(".")[0])
