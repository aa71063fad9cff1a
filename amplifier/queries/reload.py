"""Replaces the queries of a running process: the new files pass the whole check, or the old set stays.

`select announce('reload queries')` asks every process for it. Each says what came of it in a notification of its own,
for whoever asked, and shows it in GET /health/queries.
"""

import asyncio
import logging
import os
import socket
from datetime import UTC, datetime

import msgspec

from amplifier.errors import OperatorError, Unavailable
from amplifier.queries.checks.row_types import Structs
from amplifier.queries.checks.run import check
from amplifier.queries.findings import Finding, QueriesError
from amplifier.queries.registry import Queries

logger = logging.getLogger(__name__)

RELOAD = "reload queries"  # the notification; a word behind it comes back in the report
REPORT = "queries "  # what the report begins with
_MAX_PAYLOAD = 7900  # bytes; PostgreSQL refuses 8,000, and a signature has 50
_MOST_REQUESTS, _MAX_WORD = 100, 100  # requests that wait for an answer, and characters of the word behind each
_ATTEMPTS, _PAUSE = 3, 0.5  # while the database is busy, and seconds between them


class Refusal(msgspec.Struct):
    """Files that were not taken over at the last reload, and what is wrong with them."""

    at: datetime
    findings: list[Finding]


class Report(msgspec.Struct):
    """What a process serves after a reload: the hash of its set, and how many faults kept it from the new files.

    `findings` are the first of these faults; `request` is the word behind the notification.
    """

    process: str
    hash: str
    request: str
    faults: int
    findings: list[Finding]


class Reloader:
    """Hears the notification and replaces the set, one reload after the other."""

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
        """A notification of the database."""
        if (payload == RELOAD or payload.startswith(f"{RELOAD} ")) and len(self._requests) < _MOST_REQUESTS:
            self._requests.append(payload.removeprefix(RELOAD).strip()[:_MAX_WORD])
            self._wanted.set()

    def set_hearing(self, hearing: bool) -> None:
        """While nothing was heard a reload may have been asked for."""
        if hearing:
            self._wanted.set()

    def ask(self) -> None:
        """Asks every process for a reload, this one among them; from a handler of signals."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.set)

    async def keep_reloading(self) -> None:
        """Reloads whenever that is asked for, for ever."""
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
            except Exception as error:  # whatever it was: the next request must be heard
                logger.exception("the queries were not reloaded: %r", error)

    async def reload(self, asked: bool = True) -> None:
        """Takes the files over when they pass all checks; else the findings are logged and kept in `refused`.

        Nothing is checked again when nobody asked and nothing changed.
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
            except OperatorError as error:
                return [Finding(str(folder), 1, None, str(error))]
            except Unavailable as error:
                if attempt == _ATTEMPTS:
                    return [Finding(str(folder), 1, None, f"not checked: {error.reason}", "reload again later")]
                await asyncio.sleep(_PAUSE)
            except Exception as error:  # whatever it was: who asked gets an answer
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
            except Exception as error:  # whatever it was: the next signal must be heard
                logger.error("the queries were not reloaded: %r", error)


def read(payload: str) -> Report | None:
    """The report in a notification, or none: others use the channel, too."""
    if not payload.startswith(REPORT):
        return None
    try:
        return msgspec.json.decode(payload.removeprefix(REPORT), type=Report)
    except msgspec.MsgspecError:
        return None


def _payload(report: Report) -> str:
    """A report as a notification, with as many of its findings as fit."""
    while len(payload := msgspec.json.encode(report)) > _MAX_PAYLOAD - len(REPORT):
        report.findings = report.findings[: len(report.findings) // 2]
    return REPORT + payload.decode()
