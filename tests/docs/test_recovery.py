"""The commands of docs/backup.md that recover a database to a moment, as written, on every PostgreSQL at hand."""

import contextlib
import os
import pwd
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of, make_private, reachable_install
from tests.conftest import CONFIG, private_folder
from tests.docs.test_operations import MESSAGE
from tests.support.markdown import blocks
from tests.support.paths import ROOT
from tests.support.service import command, running_service
from tests.support.tls_servers import INSTALLS

pytestmark = pytest.mark.slow

Installs = [None, *(file.parent.parent for file in INSTALLS)]


class Host:
    """A machine with a PostgreSQL server, as its user sees it."""

    def __init__(self, folder: Path, install: Path, account: pwd.struct_passwd | None) -> None:
        self.folder, self.account = folder, account
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.dsn = f"postgresql://{embedded.ROLE}@127.0.0.1:{port}/postgres?sslmode=disable"
        self.environ = {
            "PATH": f"{install}/bin:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8",
            "DATABASE_URL": self.dsn,
            "PGDATA": str(folder / "data"),
            "BACKUP": str(folder / "backup"),
        }
        self.run(f"initdb --username={embedded.ROLE} --encoding=UTF8 --auth=trust --no-sync")
        with (folder / "data/postgresql.conf").open("a") as file:
            file.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n")
        self.run('pg_ctl start --wait --log="$PGDATA/server.log"')

    def run(self, script: str, **variables: str) -> None:
        """Runs a script as the server's user; it must succeed."""
        done = subprocess.run(
            ["bash", "-o", "errexit", "-o", "nounset", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environ | variables,
            user=self.account.pw_uid if self.account else None,
            group=self.account.pw_gid if self.account else None,
            extra_groups=[] if self.account else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        log = self.folder / "data/server.log"
        assert done.returncode == 0, done.stdout + done.stderr + server_process.tail(log)


@pytest.fixture(params=Installs, ids=str)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    install, account = request.param or embedded.wheel_install(), account_of("amplifier-api")
    with private_folder() as folder:
        make_private(folder, account)
        folder.chmod(0o711)  # this test reads the log
        host = Host(folder, reachable_install(install, folder, account), account)
        try:
            yield host
        finally:
            with contextlib.suppress(AssertionError):
                host.run("pg_ctl stop --mode=immediate")


def test_accident_is_undone_to_the_moment_before(host: Host) -> None:
    text = (ROOT / "docs/backup.md").read_text()
    [archive], [base], [recover] = (blocks(f"shell {kind}", text) for kind in ("archive", "base", "recover"))
    host.run(archive)
    assert command({"DATABASE_URL": host.dsn}, "migrate", limit=60).returncode == 0
    with running_service({"DATABASE_URL": host.dsn}) as service, httpx.Client(base_url=service.url) as client:
        config_id = client.post("/configs", json=CONFIG).raise_for_status().json()["config_id"]
        session_id, later_id = (
            client.post("/sessions", json={"config_id": config_id}).raise_for_status().json()["session_id"]
            for _ in range(2)
        )
        with appending(service.url, session_id) as acknowledged:
            host.run(base)
            at_backup = len(acknowledged)
        append(client, later_id)
        moment, known = now(host.dsn), len(acknowledged)
        assert 0 < at_backup <= known
        append(client, session_id)
        client.delete(f"/sessions/{later_id}").raise_for_status()
        assert client.get(f"/sessions/{later_id}").status_code == 404
    host.run(recover, MOMENT=moment)
    with running_service({"DATABASE_URL": host.dsn}) as service, httpx.Client(base_url=service.url) as client:
        assert client.get(f"/sessions/{later_id}/transcript").json()["messages"][0]["message"] == MESSAGE
        assert client.get(f"/sessions/{session_id}").json()["messages_total"] == known
        assert {hit["session_id"] for hit in client.get("/search?q=geneva").json()["items"]} == {session_id, later_id}
        append(client, later_id)
    host.run(base, BACKUP=f"{host.folder}/next")


@contextlib.contextmanager
def appending(url: str, session_id: str) -> Iterator[list[int]]:
    """Appends messages to a session all the time, and yields a list of the numbers that were acknowledged."""
    acknowledged: list[int] = []
    end = threading.Event()

    def work() -> None:
        with httpx.Client(base_url=url) as client:
            while not end.is_set():
                acknowledged.append(append(client, session_id))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        while not acknowledged and thread.is_alive():
            time.sleep(0.01)
        yield acknowledged
    finally:
        end.set()
        thread.join()


def append(client: httpx.Client, session_id: str) -> int:
    """Appends a message and returns its number."""
    answer = client.post(f"/sessions/{session_id}/transcript", json={"messages": [MESSAGE]}).raise_for_status()
    return int(answer.json()["last_seq"])


def now(dsn: str) -> str:
    """Returns the time of the server, as recovery_target_time takes it."""
    with psycopg.connect(dsn) as connection:
        [(moment,)] = connection.execute("select clock_timestamp()::text")
    return str(moment)
