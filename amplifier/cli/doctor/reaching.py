"""Checks on the way to the database: name, TCP, TLS."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from amplifier.cli.doctor import network, tls
from amplifier.cli.doctor.findings import Fault, Outcome, ok, skipped, warning
from amplifier.cli.doctor.network import Host, Streams
from amplifier.cli.doctor.target import Target
from amplifier.database.tls import context

_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # SSLRequest: its length, and 80877103
_ROOTS = "PGSSLROOTCERT"


async def resolve(target: Target) -> Outcome:
    """Resolves the names of the hosts."""

    async def one(host: Host) -> Outcome:
        found = await network.addresses(host)
        target.addresses += found
        return ok(network.shown(host, found))

    return await _any(target.remote_hosts(), one)


async def connect(target: Target) -> Outcome:
    """Connects to the hosts, or to their Unix sockets."""

    async def one(host: Host) -> Outcome:
        streams = await network.connected(host)
        await tls.closed(streams)
        return ok(f"{host} accepts connections")

    if not target.is_chosen or not target.hosts:
        target.remote_hosts()
    return await _any(target.hosts, one)


async def secure(target: Target) -> Outcome:
    """Asks the hosts for TLS and does a handshake, as DATABASE_SSL_MODE says."""
    return await _any(target.remote_hosts(), lambda host: _secured(target, host))


async def _any(hosts: Sequence[Host], check: Callable[[Host], Awaitable[Outcome]]) -> Outcome:
    """Returns the outcome for the hosts, of which one must pass: the driver tries one after the other."""
    outcomes: list[Outcome] = []
    for host in hosts:
        try:
            outcomes.append(await check(host))
        except Fault as fault:
            outcomes.append(fault.outcome)
    wrong = [outcome for outcome in outcomes if outcome.problem]
    worst = wrong[0] if wrong else outcomes[0]
    seen = "; ".join(outcome.seen for outcome in outcomes)
    passed = any(outcome.status != "failed" for outcome in outcomes)
    status = "warning" if worst.status == "failed" and passed else worst.status
    return Outcome(status, seen, worst.problem, worst.remedy)


async def _secured(target: Target, host: Host) -> Outcome:
    streams = await network.connected(host)
    try:
        answer = await _asked(streams, host)
        if answer != b"S":
            return _in_clear(target, host)
        if target.ssl_mode == "disable":
            return _unused(target, host)
        secured = await tls.handshake(streams, _context(target), host)
    except OSError as error:  # ssl.SSLError, too
        fault = tls.fault(error, host, await _shown(host), _ROOTS)
        if not target.may_be_in_clear:
            raise fault from error
        return warning(fault.outcome.seen, f"{fault}: the service connects without TLS", str(fault.outcome.remedy))
    finally:
        await tls.closed(streams)
    if secured.days_left < tls.SOON:
        return warning(str(secured), f"the certificate expires in {secured.days_left} days", "renew it on the server")
    if target.ssl_mode in ("verify-ca", "verify-full") or network.is_loopback(target.addresses):
        return ok(str(secured))
    return warning(
        f"{secured}, not verified",
        f"sslmode={target.ssl_mode} accepts any certificate: another machine could take the server's place",
        "DATABASE_SSL_MODE=verify-full, with the authority's root certificate in PGSSLROOTCERT if it is your own",
    )


async def _asked(streams: Streams, host: Host) -> bytes:
    """Returns the server's answer to a request for TLS, S or N. Raises Fault."""
    reader, writer = streams
    try:
        writer.write(_REQUEST)
        answer = await reader.read(1)
    except OSError:
        answer = b""
    if answer in (b"S", b"N"):
        return answer
    said = (answer + await _rest(reader))[:40] if answer else b"nothing, and closes the connection"
    remedy = f"correct host and port in {host.setting}, and see which program listens there"
    if not answer:
        remedy += "; a proxy in front of the database may have lost it: see its log"
    raise Fault(f"{host} answers {said.decode('latin-1')!r}", "this is no PostgreSQL server", remedy)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(0.5):
            return await reader.read(40)
    except (TimeoutError, OSError):
        return b""


def _in_clear(target: Target, host: Host) -> Outcome:
    """Returns the outcome for a server without TLS."""
    seen = f"{host} has no TLS"
    if not target.may_be_in_clear:
        raise Fault(
            seen,
            f"sslmode={target.ssl_mode} demands it",
            "turn TLS on in the server (ssl = on, with server.crt and server.key), or connect to the port that has it; "
            "only on a network that nobody else can listen to: DATABASE_SSL_MODE=prefer",
        )
    if network.is_loopback(target.addresses):
        return ok(f"{seen}, on this machine")
    return warning(
        seen,
        "passwords and messages travel in clear",
        "turn TLS on in the server (ssl = on), and set DATABASE_SSL_MODE=verify-full",
    )


def _unused(target: Target, host: Host) -> Outcome:
    seen = f"{host} has TLS, sslmode=disable does not use it"
    if network.is_loopback(target.addresses):
        return skipped(seen)
    return warning(seen, "passwords and messages travel in clear", "DATABASE_SSL_MODE=verify-full")


async def _shown(host: Host) -> tls.Secured | None:
    """Returns what the server shows to those who verify nothing, or None."""
    try:
        streams = await network.connected(host)
        try:
            await _asked(streams, host)
            return await tls.handshake(streams, tls.unverified(), host)
        finally:
            await tls.closed(streams)
    except (OSError, Fault):
        return None


def _context(target: Target) -> ssl.SSLContext:
    """Returns the context with which the service verifies, by libpq's rules. Raises Fault if its roots are missing."""
    given = context(target.dsn)
    if isinstance(given, ssl.SSLContext):
        return given
    file = Path(target.parts.get("sslrootcert") or Path.home() / ".postgresql/root.crt").expanduser()
    verifies = target.ssl_mode in ("verify-ca", "verify-full")
    if not (verifies or (target.ssl_mode == "require" and file.exists())):
        return tls.unverified()
    try:
        made = ssl.create_default_context(cafile=str(file))
    except OSError as error:
        raise Fault(
            f"{file}: {error.strerror or error}",
            "the file with the root certificates cannot be read",
            "name a readable file in PGSSLROOTCERT, or PGSSLROOTCERT=system for the system's root certificates",
        ) from error
    made.check_hostname = target.ssl_mode == "verify-full"
    return made
