"""amplifier-api psql: opens psql on the configured database, or on the embedded one with the login that owns it."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from amplifier import libpq, tls_roots
from amplifier.cli.target_database import opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings

_NOT_CONNECTED = 2  # psql's status when a connection fails


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command. Its arguments are those of psql, also --help: no prefix makes one of them an option of ours."""
    psql = commands.add_parser(
        "psql", help="open psql on the configured or the embedded database", prefix_chars="\0", add_help=False
    )
    psql.add_argument("arguments", nargs="*")
    psql.set_defaults(run=_psql)


def _psql(settings: Settings, arguments: argparse.Namespace) -> None:
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    program = _program(prefer_own=settings.dsn is None)
    with opened(settings) as dsn:
        # every user of the machine sees the arguments of a process
        parts = conninfo_to_dict(dsn)
        password = parts.pop("password", None)
        environ = os.environ | ({"PGPASSWORD": str(password)} if password else {}) | libpq.environ(dsn)
        # Ctrl-C is for psql; unlike SIG_IGN, a handler is not inherited by it
        signal.signal(signal.SIGINT, lambda *_: None)
        command = [program, f"--dbname={make_conninfo('', **parts)}", *arguments.arguments]
        status = subprocess.run(command, env=environ, check=False).returncode  # noqa: S603
        if status == _NOT_CONNECTED and (fault := tls_roots.fault(dsn)):
            print(f"amplifier-api: {fault}", file=sys.stderr)
    sys.exit(status if status >= 0 else 128 - status)


def _program(prefer_own: bool) -> str:
    """Returns the path of psql: that of the system, or with `prefer_own` that of the embedded PostgreSQL.

    Each is used where the other is missing; the embedded one knows no TLS. Raises OperatorError if both are.
    """
    from amplifier.postgres import embedded

    try:
        own: str | None = str(embedded.wheel_install() / "bin/psql")
    except OperatorError:
        own = None
    program = own if prefer_own and own else shutil.which("psql") or own
    if program is None or not Path(program).exists():
        raise OperatorError("psql is missing: install the client programs of PostgreSQL")
    return program
