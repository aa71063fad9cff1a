"""Runs PgBouncer in front of a PostgreSQL server, where it is installed."""

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from amplifier.postgres.os_user import account_of
from tests.support.service import free_port, wait_until

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def pooling(folder: Path, server_port: int, mode: str, ignored: str = "") -> Iterator[int]:
    """Yields the port of a pooler that lets everybody in. `ignored` are parameters of a start that it must ignore."""
    port, account = free_port(), account_of("amplifier-api")
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        f"ignore_startup_parameters = {ignored}\n".replace("* = host", "postgres = user=amplifier host")
    )
    if account is not None:
        os.chown(folder / "pgbouncer.ini", account.pw_uid, account.pw_gid)
    assert PROGRAM is not None
    with (folder / "pgbouncer.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, str(folder / "pgbouncer.ini")],
            stdout=log,
            stderr=log,
            user=account.pw_uid if account else None,
            cwd="/",
        )

    def answers() -> bool:
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers)
        yield port
    finally:
        process.terminate()
        process.wait(10)
