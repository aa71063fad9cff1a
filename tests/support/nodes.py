"""Four processes of the service on two hosts, with a PostgreSQL server that both reach over the network."""

import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from amplifier import paths
from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of, reachable_install
from amplifier.schema import migrate
from amplifier.web.authentication import generate_key
from tests.conftest import SECRET, private_folder, token
from tests.support import llm
from tests.support.agents import ALLOWED, MODULES, Agent, agent, model
from tests.support.databases import Clone
from tests.support.hosts import Host, Network
from tests.support.live import LIMIT, Stream
from tests.support.llm import Stub
from tests.support.service import Service, free_port, running_service
from tests.support.tls_servers import initialise

LEASE = 2  # seconds
PER_MINUTE = 60  # requests of a user through the application `limited`
_LATER = 2**40  # expiry of tokens, in seconds since 1970
_MODULES = ALLOWED.replace("provider-anthropic,", "")  # importing its SDK takes as long as everything else


class Nodes(NamedTuple):
    """The processes, two on the first host and two on the second; the database; and a stub of a model's API."""

    services: list[Service]
    hosts: list[Host]
    database: Clone
    stub: Stub
    keys: dict[str, str]
    environ: dict[str, str]
    queries: Path

    @property
    def urls(self) -> list[str]:
        """The addresses of the processes."""
        return [service.url for service in self.services]

    def headers(self, user_id: str, app_id: str = "app") -> dict[str, str]:
        """Returns the credentials of a user of an application."""
        return {"X-API-Key": self.keys[app_id], "Authorization": f"Bearer {token(sub=user_id, exp=_LATER)}"}

    @contextlib.asynccontextmanager
    async def clients(self, user_id: str, app_id: str = "app") -> AsyncIterator[list[httpx.AsyncClient]]:
        """Yields a client of each process."""
        async with contextlib.AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.client(url, user_id, app_id)) for url in self.urls]

    def client(self, url: str, user_id: str, app_id: str = "app") -> httpx.AsyncClient:
        """Returns a client of the process with this address."""
        headers = self.headers(user_id, app_id)
        return httpx.AsyncClient(base_url=url, headers=headers, timeout=LIMIT, verify=False)

    async def agents(self, clients: list[httpx.AsyncClient]) -> list[Agent]:
        """Makes a session with an agent, and returns it as seen through each of the processes."""
        made = await agent(clients[0], model(self.stub))
        return [Agent(client, made.session_id) for client in clients]

    @contextlib.contextmanager
    def another(self, host: Host) -> Iterator[Service]:
        """Runs one more process on a host."""
        environ = self.environ | {"SERVICE_HOST": host.address}
        with running_service(environ, limit=3 * LIMIT, prefix=host.command) as service:
            yield service


@contextlib.asynccontextmanager
async def following(client: httpx.AsyncClient, path: str) -> AsyncIterator[Stream]:
    """Opens a stream."""
    async with client.stream("GET", path) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


@contextlib.contextmanager
def running(net: Network) -> Iterator[Nodes]:
    """Runs the processes and their database. No process may have logged a traceback at the end."""
    with contextlib.ExitStack() as stack:
        dsn = stack.enter_context(_postgres(stack.enter_context(private_folder()), net.address))
        migrate.migrate(dsn)
        database, keys = Clone(dsn), {"app": generate_key(), "limited": generate_key(), "operator": generate_key()}
        for app_id, key in keys.items():
            settings = f'{{"rate_limit_requests_per_minute": {PER_MINUTE if app_id == "limited" else 0}}}'
            values = (app_id, app_id, key.hash, key.prefix, settings, app_id == "operator")
            columns = "app_id, app_name, api_key_hash, api_key_prefix, settings, is_admin"
            database.run(f"insert into applications ({columns}) values (%s, %s, %s, %s, %s, %s)", *values)
        stub = stack.enter_context(llm.in_thread(net.address))
        queries = stack.enter_context(private_folder())
        shutil.copytree(paths.folder("queries"), queries, dirs_exist_ok=True)
        environ = {
            **{"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET, "LOG_LEVEL": "warning"},
            **{"RUNTIME_MODULES": _MODULES, "RUNTIME_BASE_URLS": stub.url, "PYTHONPATH": str(MODULES)},
            **{"RUN_LEASE": str(LEASE), "QUERIES_DIR": str(queries)},
        }
        texts = {app_id: key.text for app_id, key in keys.items()}
        nodes = Nodes([], net.hosts, database, stub, texts, environ, queries)
        nodes.services.extend(stack.enter_context(nodes.another(host)) for host in net.hosts for _ in range(2))
        yield nodes
        for service in nodes.services:
            assert "Traceback" not in service.output, service.output


@contextlib.contextmanager
def _postgres(folder: Path, host: str) -> Iterator[str]:
    """Runs a server that listens on an address, where it lets everybody in, and yields its address (DSN)."""
    account, port = account_of("amplifier-api"), free_port()
    install = reachable_install(embedded.wheel_install(), folder, account)
    data = initialise(folder, install)
    options = {"listen_addresses": host, "unix_socket_directories": str(data), "fsync": "off"}
    command = [str(install / "bin/postgres"), "-D", str(data), "-p", str(port)]
    command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with (folder / "postgresql.log").open("wb") as log:
        server = server_process.popen(command, account, log)
    try:
        dsn = f"postgresql://{embedded.ROLE}@{host}:{port}/postgres?sslmode=disable"
        assert server_process.is_ready(dsn, folder, lambda: server.poll() is not None)
        yield dsn
    finally:
        server_process.stop(server)
