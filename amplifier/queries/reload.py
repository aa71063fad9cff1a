"""Replaces the queries of a running process if the new files pass the whole check; otherwise the old set stays.

`select announce('reload queries')` asks every process for a reload. Each process reports the outcome in a notification
and in GET /health/queries. The command that asks and collects the reports is in `amplifier.queries.control`.
"""

import asyncio
import logging
import os
import socket
from datetime import UTC, datetime

import msgspec

from amplifier.errors import InputError, OperatorError, Unavailable
from amplifier.queries.checks.row_types import Structs
from amplifier.queries.checks.run import check
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

RELOAD = "reload queries"  # the notification; a word after it is returned in the report
REPORT = "queries "  # the prefix of a report
_MAX_PAYLOAD = 7900  # bytes; PostgreSQL refuses 8,000, and a signature has 50
_MOST_REQUESTS, _MAX_WORD = 100, 100  # requests that wait for a report, and characters of the word of each
_ATTEMPTS, _PAUSE = 3, 0.5  # attempts while the database is unavailable, and seconds between them


class Refusal(msgspec.Struct):
    """Files that were not taken over at the last reload, and what is wrong with them."""

    at: datetime
    findings: list[Finding]


class Report(msgspec.Struct):
    """The outcome of a reload in one process: the hash of the set that it serves, and the number of faults.

    Without faults the set is the new one. `findings` are the first of the faults; `request` is the word that came after
    RELOAD in the notification.
    """

    process: str
    hash: str
    request: str
    faults: int
    findings: list[Finding]


class Reloader:
    """Reloads the queries of this process when a notification or a signal asks for it, one reload at a time."""

    def __init__(self, queries: Queries, structs: Structs) -> None:
        self._queries = queries
        self._structs = structs
        self._requests: list[str] = []
        self._wanted, self._asked = asyncio.Event(), asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.process = f"{socket.gethostname()}:{os.getpid()}"
        self.loaded_at = datetime.now(UTC)
        self.refused: Refusal | None = None

    def hear(self, payload: str) -> None:
        """Takes a notification of the database. Ignores those that do not ask for a reload."""
        if (payload == RELOAD or payload.startswith(f"{RELOAD} ")) and len(self._requests) < _MOST_REQUESTS:
            self._requests.append(payload.removeprefix(RELOAD).strip()[:_MAX_WORD])
            self._wanted.set()

    def set_hearing(self, hearing: bool) -> None:
        """Takes the state of the LISTEN connection. Reloads when it is restored: a request may have been missed."""
        if hearing:
            self._wanted.set()

    def ask(self) -> None:
        """Asks every process for a reload, including this one. Safe to call in a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.set)

    async def keep_reloading(self) -> None:
        """Reloads whenever it is asked for. Never returns."""
        self._loop = asyncio.get_running_loop()
        await asyncio.gather(self._keep_answering(), self._keep_announcing())

    async def _keep_answering(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            requests, self._requests = self._requests, []
            try:
                await self.reload(asked=bool(requests))
                for request in requests:
                    await self._queries.events.notify(payload=_payload(self._report(request)))
            except Exception as error:  # the next request must be served, whatever failed
                logger.exception("the queries were not reloaded: %r", error)

    async def reload(self, asked: bool = True) -> None:
        """Replaces the queries if the files pass all checks; otherwise logs the findings and keeps them in `refused`.

        If `asked` is false, does nothing when the files have not changed.
        """
        findings = await self._replace(asked)
        self.refused = Refusal(datetime.now(UTC), findings) if findings else None
        for finding in findings:
            logger.error("the queries stay as they were: %s", finding)

    async def _replace(self, asked: bool) -> list[Finding]:
        folder = self._queries.folder
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                queries = await asyncio.to_thread(Queries, self._queries.database, folder)
                if not asked and queries.hash == self._queries.hash:
                    return []
                await check(queries, self._structs)
            except QueriesError as error:
                return error.findings
            except InputError as error:
                return [Finding(str(error.path), 1, None, error.problem, error.remedy)]
            except OperatorError as error:
                return [Finding(str(folder), 1, None, str(error))]
            except Unavailable as error:
                if attempt == _ATTEMPTS:
                    return [Finding(str(folder), 1, None, f"not checked: {error.reason}", "reload again later")]
                await asyncio.sleep(_PAUSE)
            except Exception as error:  # the caller must get a report, whatever failed
                logger.exception("the check of the queries failed")
                return [Finding(str(folder), 1, None, f"the check itself failed: {error!r}", "see the log")]
            else:
                self._queries.adopt(queries)
                self.loaded_at = datetime.now(UTC)
                logger.info("serving the queries %s of %s", queries.hash, folder)
                return []
        raise AssertionError("unreachable")

    def _report(self, request: str) -> Report:
        findings = self.refused.findings if self.refused else []
        return Report(self.process, self._queries.hash, request, len(findings), findings)

    async def _keep_announcing(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._queries.events.notify(payload=RELOAD)
            except Exception as error:  # the next signal must be served, whatever failed
                logger.error("the queries were not reloaded: %r", error)


def read(payload: str) -> Report | None:
    """Returns the report in a notification, or None for any other notification of the channel."""
    if not payload.startswith(REPORT):
        return None
    try:
        return msgspec.json.decode(payload.removeprefix(REPORT), type=Report)
    except msgspec.MsgspecError:
        return None


def _payload(report: Report) -> str:
    """Encodes a report as a notification. Drops findings from the end until it fits."""
    while len(payload := msgspec.json.encode(report)) > _MAX_PAYLOAD - len(REPORT):
        report.findings = report.findings[: len(report.findings) // 2]
    return REPORT + payload.decode()
