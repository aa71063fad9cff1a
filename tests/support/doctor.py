"""Runs checks of doctor in this process, and servers that answer in wrong ways."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from amplifier.cli.doctor import configured, served
from amplifier.cli.doctor.deployment import Deployment
from amplifier.cli.doctor.findings import Check, Finding, examine
from amplifier.cli.doctor.smoke import Smoke
from amplifier.cli.doctor.target import Target
from amplifier.setting_sources import load

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def examined(environ: Mapping[str, str], *names: str) -> dict[str, Finding]:
    """Returns the findings of the named checks of the database and of those before them that they need, or of all."""
    target = Target(lambda: load(environ, env_file="no such file"))
    try:
        return await _findings(configured.checks(target), names)
    finally:
        await target.close()


async def used(url: str, *names: str, headers: dict[str, str] | None = None) -> dict[str, Finding]:
    """Returns the findings of the named checks of a service and of those before them that they need, or of all."""
    deployment = Deployment(url, headers)
    try:
        return await _findings(served.checks(deployment, Smoke(deployment), "the test's"), names)
    finally:
        await deployment.close()


async def _findings(checks: list[Check], names: tuple[str, ...]) -> dict[str, Finding]:
    wanted = set(names)
    for check in reversed(checks):
        if check.name in wanted:
            wanted.update(check.needs, check.unless_failed)
    chosen = [check for check in checks if not names or check.name in wanted or check.always]
    return {finding.name: finding for finding in await examine(chosen)}


@contextlib.asynccontextmanager
async def listening(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Yields the port of a server on 127.0.0.1 that answers each connection by `answer`, then closes it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()


def saying(text: str) -> Answer:
    """Returns an answer of one text to whatever comes first."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(text.encode())
        await writer.drain()

    return answer
