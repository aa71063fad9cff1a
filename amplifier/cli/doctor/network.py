"""Name resolution and TCP connections to a database or a service, with remedies for their errors."""

import asyncio
import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Sequence
from typing import NamedTuple

from amplifier.cli.doctor.azure import is_azure
from amplifier.cli.doctor.findings import Fault

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_CONNECT_LIMIT = 4.0  # seconds, less than that of a check: the finding should tell of the address
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


class Host(NamedTuple):
    """A host and port to connect to. `setting` names where they come from."""

    name: str
    port: int
    setting: str

    @property
    def is_socket(self) -> bool:
        """True for the folder of a Unix socket."""
        return self.name.startswith(("/", "@"))

    @property
    def socket_path(self) -> str:
        """The path of PostgreSQL's Unix socket."""
        return f"{self.name}/.s.PGSQL.{self.port}"

    def __str__(self) -> str:
        return self.socket_path if self.is_socket else f"{self.name}:{self.port}"


async def addresses(host: Host) -> list[str]:
    """Returns the addresses of a host. Raises Fault."""
    try:
        return await _resolved(host)
    except socket.gaierror as error:
        seen = f"{host.name}: {error.strerror}"
        if error.errno == socket.EAI_AGAIN:
            remedy = "see /etc/resolv.conf, and whether the name server in it answers from this network"
            raise Fault(seen, "no name server answers", remedy) from error
        raise Fault(seen, f"there is no host {host.name!r}", _unknown_name(host)) from error
    except UnicodeError as error:
        raise Fault(repr(host.name), "is no name of a host", f"correct {host.setting}") from error


def _unknown_name(host: Host) -> str:
    remedy = f"correct the host in {host.setting}: nslookup {host.name}"
    if not is_azure(host.name):
        return remedy
    return (
        f"{remedy}\nA server with private access is known only in networks that its private DNS zone is linked to:\n"
        "az network private-dns link vnet create --resource-group GROUP --zone-name ZONE --name LINK "
        "--virtual-network NETWORK --registration-enabled false"
    )


async def _resolved(host: Host) -> list[str]:
    """Resolves a name in a thread that the end of the process does not wait for: a resolver may take long."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[list[str]] = loop.create_future()

    def settle(found: list[str] | Exception) -> None:
        if not result.done():
            result.set_exception(found) if isinstance(found, Exception) else result.set_result(found)

    def resolve() -> None:
        try:
            rows = socket.getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
            found: list[str] | Exception = list(dict.fromkeys(str(row[4][0]) for row in rows))
        except Exception as error:
            found = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, found)

    threading.Thread(target=resolve, daemon=True).start()
    return await result


async def connected(host: Host) -> Streams:
    """Returns the streams of a new connection to a host or a Unix socket. Raises Fault."""
    try:
        async with asyncio.timeout(_CONNECT_LIMIT):
            if host.is_socket:
                return await asyncio.open_unix_connection(host.socket_path)
            return await asyncio.open_connection(host.name, host.port)
    except TimeoutError as error:
        raise Fault(
            f"{host} does not answer", "a firewall drops the connection, or no machine has the address", _let_in(host)
        ) from error
    except OSError as error:
        raise _refused(host, error) from error


def _refused(host: Host, error: OSError) -> Fault:
    """Returns the fault for an error of connect()."""
    seen = f"{host}: {os.strerror(error.errno) if error.errno else error}"
    if host.is_socket:
        remedy = f"start PostgreSQL, or correct the folder in {host.setting}: see unix_socket_directories of the server"
        if error.errno == errno.EACCES:
            remedy = "run the command as a user who may enter the folder, or let this user do so"
        return Fault(seen, "no server can be reached through this socket", remedy)
    if error.errno in _UNREACHABLE:
        remedy = f"see the routes of this machine, and correct {host.setting} if the address is another"
        return Fault(seen, "this machine has no way to the address", remedy)
    remedy = f"start the server there, let it listen on that address, or correct host and port in {host.setting}"
    return Fault(seen, "no process listens there", remedy)


def _let_in(host: Host) -> str:
    remedy = f"let this machine through the firewalls on the way to port {host.port}, or correct {host.setting}"
    if not is_azure(host.name):
        return remedy
    return (
        f"{remedy}\nOn Azure see Networking of the server in the portal: with private access only its virtual network "
        "reaches it, with public access the port must be allowed to leave this network"
    )


def shown(host: Host, found: Sequence[str]) -> str:
    """Returns a host with its addresses."""
    return host.name if list(found) == [host.name] else f"{host.name} is {', '.join(found)}"


def is_loopback(names: Sequence[str]) -> bool:
    """Returns whether all addresses are of this machine."""
    return all(ipaddress.ip_address(name.partition("%")[0]).is_loopback for name in names)
