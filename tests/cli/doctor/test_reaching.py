"""Faults on the way to a database or a service: names, ports, TLS. Servers of the tests answer in wrong ways."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from amplifier.cli.doctor import network
from amplifier.cli.doctor.findings import Fault
from amplifier.cli.doctor.network import Host
from tests.conftest import private_folder
from tests.support.doctor import examined, listening, saying, used
from tests.support.service import free_port


def url(port: int, host: str = "127.0.0.1", options: str = "") -> str:
    return f"postgresql://me:canary-51c0@{host}:{port}/chats{options}"


@pytest.mark.parametrize(
    ("error", "problem"),
    [(socket.EAI_NONAME, "there is no host 'db.example'"), (socket.EAI_AGAIN, "no name server answers")],
)
async def test_name_that_does_not_resolve_is_named(error: int, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(error, "not found")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    found = await examined({"DATABASE_URL": url(5432, "db.example")}, "sign-in")
    assert (found["name resolution"].status, found["name resolution"].problem) == ("failed", problem)
    assert {found[name].status for name in ("TCP", "sign-in")} == {"skipped"}


async def test_real_name_that_does_not_exist_fails() -> None:
    found = await examined({"DATABASE_URL": url(5432, "db.invalid")}, "name resolution")
    assert found["name resolution"].status == "failed"


async def test_azure_server_of_a_private_network_has_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host("chats.postgres.database.azure.com", 5432, "DATABASE_HOST")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: (_ for _ in ()).throw(socket.gaierror(-2, "unknown")))
    with pytest.raises(Fault) as fault:
        await network.addresses(host)
    assert "az network private-dns link vnet create" in str(fault.value.outcome.remedy)


async def test_closed_port_is_named() -> None:
    port = free_port()
    found = await examined({"DATABASE_URL": url(port)}, "sign-in")
    assert found["TCP"].seen == f"127.0.0.1:{port}: Connection refused"
    assert "DATABASE_URL" in str(found["TCP"].remedy)
    assert (found["TLS"].status, found["sign-in"].seen) == ("skipped", "because TCP failed")


async def test_one_closed_port_of_two_is_a_risk() -> None:
    async with listening(saying("")) as port:
        several = f"postgresql://me@127.0.0.1:{free_port()},127.0.0.1:{port}/chats"
        found = await examined({"DATABASE_URL": several}, "TCP")
    assert (found["TCP"].status, "Connection refused" in found["TCP"].seen) == ("warning", True)


@pytest.mark.slow
async def test_port_that_never_answers_is_named() -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):  # they fill the queue, which nobody accepts from; further ones are dropped
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        found = await examined({"DATABASE_URL": url(full.getsockname()[1])}, "TCP")
    assert "does not answer" in found["TCP"].seen
    assert "a firewall drops the connection" in str(found["TCP"].problem)


async def test_missing_socket_is_named(tmp_path: Path) -> None:
    found = await examined({"DATABASE_URL": f"postgresql://me@/chats?host={tmp_path}"}, "sign-in")
    assert (found["name resolution"].status, found["TCP"].status) == ("skipped", "failed")
    assert f"{tmp_path}/.s.PGSQL.5432: No such file" in found["TCP"].seen


@pytest.mark.parametrize(
    ("text", "seen"),
    [("HTTP/1.1 400 Bad Request\r\n\r\n", "answers 'HTTP/1.1 400"), ("", "answers 'nothing")],
)
async def test_port_of_another_program_is_named(text: str, seen: str) -> None:
    async with listening(saying(text)) as port:
        found = (await examined({"DATABASE_URL": url(port)}, "TLS"))["TLS"]
    assert (found.status, found.problem) == ("failed", "this is no PostgreSQL server")
    assert seen in found.seen


@pytest.mark.slow
async def test_server_that_accepts_and_says_nothing_ends_at_the_limit() -> None:
    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with listening(wait) as port:
        found = await examined({"DATABASE_URL": url(port)}, "sign-in")
    assert (found["TLS"].status, found["TLS"].seen) == ("failed", "no result within 5 s")
    assert found["sign-in"].status == "skipped"


async def test_mode_that_demands_tls_is_not_met_by_a_server_without(tmp_path: Path) -> None:
    async with listening(saying("N")) as port:
        found = (await examined({"DATABASE_URL": url(port, options="?sslmode=require")}, "TLS"))["TLS"]
        accepted = (await examined({"DATABASE_URL": url(port)}, "TLS"))["TLS"]
    assert (found.status, found.problem) == ("failed", "sslmode=require demands it")
    assert (accepted.status, "has no TLS, on this machine" in accepted.seen) == ("ok", True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for a certificate."""
    with private_folder() as folder:
        yield folder


async def test_http_on_the_port_of_a_database_and_tls_on_a_port_without() -> None:
    async with listening(saying("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")) as port:
        plain = await used(f"https://127.0.0.1:{port}", "health")
        other = await used(f"http://127.0.0.1:{port}", "health")
    assert plain["TLS"].problem == "the port does not speak TLS"
    assert plain["health"].seen == "because TLS failed"
    assert other["health"].problem == "another program than Amplifier answers here"
