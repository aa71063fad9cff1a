"""The imports that were sent to this process: each in a process of its own (`worker.py`), with its row kept up to date.

Many may be sent at once, however slowly; few are read at once, in the order in which they came. A row of a process that
died is ended by the others, as interrupted.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import msgspec

import amplifier
from amplifier import sign_in
from amplifier.azure.chain import CredentialError
from amplifier.errors import Problem
from amplifier.imports.archive import SPARE
from amplifier.imports.worker import Job, News
from amplifier.queries.registry import Queries
from amplifier.settings import Settings

logger = logging.getLogger(__name__)

_PACE = 0.5  # seconds between two looks at the progress of an import
_KEPT_EACH = 2  # looks after which its row is written also without progress
_DEAD = 30.0  # seconds after which an import without a sign of life is over
_REAP, _REAPED = 10.0, 100  # seconds between two searches for these, and how many are ended at once
_LONGEST_LINE = 4 * 1024 * 1024  # bytes of News: 1,000 remarks
_INTERRUPTED = "The service stopped meanwhile: send it again, nothing is doubled"
_ENDED_EARLY = "Reading it failed, for example because a file needs too much memory: send it in parts"
# of the service's environment: nothing that could be a secret
_ENVIRONMENT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR", "TZ")
_MOST_OF_USER = 2  # one that is read, and one that is sent: perhaps the same again, with its Idempotency-Key
_MOST_USERS = 100  # who send an import to one process, or wait for it; their files share the space for imports
_RETRY = {"Retry-After": "10"}


class _Going:
    """An import that this process reads."""

    def __init__(self, import_id: str, job: Job) -> None:
        self.import_id, self.job = import_id, job
        self.news = News()
        self.status: str | None = None  # the reason to stop
        self.stopped = asyncio.Event()

    def stop(self, status: str) -> None:
        self.status = self.status or status
        self.stopped.set()

    @property
    def end(self) -> tuple[str, str | None]:
        """The status and detail of an import that was stopped."""
        return str(self.status), _INTERRUPTED if self.status == "interrupted" else None


class Jobs:
    """The imports of one process."""

    def __init__(self, queries: Queries, settings: Settings, process_id: str) -> None:
        self._queries, self._settings, self._process_id = queries, settings, process_id
        self._users: Counter[Hashable] = Counter()  # who send an import to this process, or have one read
        self._reading = asyncio.Semaphore(settings.max_imports_per_process)
        self._going: dict[str, _Going] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    @contextlib.contextmanager
    def place(self, user_id: Hashable) -> Iterator[None]:
        """Holds a place for an import, from the first byte on. Raises Problem 429 and 503 if there is none."""
        if self._is_stopping:
            raise Problem(503, "The service stops: send it again", headers=_RETRY)
        if self._users[user_id] >= _MOST_OF_USER:
            raise Problem(429, "Another import of yours is running: wait for its end, or cancel it", headers=_RETRY)
        if not self._users[user_id] and len(+self._users) >= _MOST_USERS:
            raise Problem(429, "Other imports are running: try again", headers=_RETRY)
        self._users[user_id] += 1
        try:
            yield
        finally:
            self._users[user_id] -= 1
            if not self._users[user_id]:
                del self._users[user_id]

    @contextlib.asynccontextmanager
    async def folder(self, size: int) -> AsyncIterator[Path]:
        """Yields a new folder, and removes it with all that is in it. Raises Problem 503 if the disk is too full."""
        path = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="amplifier-import-"))
        try:
            if shutil.disk_usage(path).free < size + SPARE:
                raise Problem(503, "The service's disk is full: try again later", headers=_RETRY)
            yield path
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, ignore_errors=True))

    def begin(self, import_id: str, job: Job, held: contextlib.AsyncExitStack) -> None:
        """Reads an import in the background, and leaves `held` at the end."""
        going = self._going[import_id] = _Going(import_id, job)
        task = asyncio.get_running_loop().create_task(self._run(going, held), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def look(self, import_id: str) -> None:
        """Stops an import of this process at once, because it was cancelled."""
        if (going := self._going.get(import_id)) is not None:
            going.stop("cancelled")

    async def keep_reaping(self) -> None:
        """Ends the imports of dead processes, again and again. Never returns."""
        while True:
            try:
                await self._queries.imports.reap(seconds=_DEAD, detail=_INTERRUPTED, limit=_REAPED)
            except Exception as error:  # of any kind: the next round tries again
                logger.warning("abandoned imports were not ended, trying again: %r", error)
            await asyncio.sleep(_REAP)

    async def finish(self) -> None:
        """Stops all imports and waits until their rows say so."""
        self._is_stopping = True
        for going in self._going.values():
            going.stop("interrupted")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._settings.shutdown_grace)

    async def _run(self, going: _Going, held: contextlib.AsyncExitStack) -> None:
        status: str = "failed"
        detail: str | None = _ENDED_EARLY
        try:
            async with held:  # left before the row says so: the user may send the next one then
                status, detail = await self._read_in_turn(going)
        except CredentialError as error:
            logger.warning("import %s could not sign in to the database: %r", going.import_id, error)
        except Exception:
            logger.exception("import %s failed", going.import_id)
        finally:
            del self._going[going.import_id]
        await self._end(going, status, detail)

    async def _read_in_turn(self, going: _Going) -> tuple[str, str | None]:
        """Reads an import, once fewer than MAX_IMPORTS_PER_PROCESS are being read. Returns its status and detail."""
        turn = asyncio.create_task(self._reading.acquire())
        await self._attend(going, turn)
        if not turn.done():
            turn.cancel()
            return going.end
        try:
            return await self._read(going)
        finally:
            self._reading.release()

    async def _read(self, going: _Going) -> tuple[str, str | None]:
        """Runs the process of an import. Returns the status and detail with which it ends."""
        going.job.password = await asyncio.to_thread(sign_in.token, going.job.dsn)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "amplifier.imports.worker"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
            limit=_LONGEST_LINE,
            start_new_session=True,  # Ctrl-C in a terminal reaches the service only, which then ends it
        )
        listening = asyncio.create_task(self._listen(going, process))
        try:
            await self._attend(going, listening)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await asyncio.gather(listening, process.wait(), return_exceptions=True)
        if going.status is not None:
            return going.end
        news = going.news
        if news.fault is not None:
            logger.warning("import %s: %s", going.import_id, news.fault)
        if not news.is_end:
            logger.warning("import %s: its process ended early, status %s", going.import_id, process.returncode)
            return "failed", _ENDED_EARLY
        return "done" if news.detail is None else "failed", news.detail

    async def _listen(self, going: _Going, process: Process) -> None:
        """Hands over the job, and takes what the process says until it ends."""
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(msgspec.json.encode(going.job) + b"\n")
        await process.stdin.drain()
        async for line in process.stdout:
            going.news = msgspec.json.decode(line, type=News)
            if going.news.is_end:
                return

    async def _attend(self, going: _Going, task: "asyncio.Task[Any]") -> None:
        """Writes the progress of an import until the task is done or the import is to stop."""
        stopped = asyncio.create_task(going.stopped.wait())
        written, looks = going.news, 0
        try:
            while not (task.done() or stopped.done()):
                await asyncio.wait((task, stopped), timeout=_PACE, return_when=asyncio.FIRST_COMPLETED)
                looks += 1
                if going.news is not written or looks % _KEPT_EACH == 0:
                    written = going.news
                    await self._keep(going)
        finally:
            stopped.cancel()

    async def _keep(self, going: _Going) -> None:
        """Writes the progress into the row, and stops the import if the row says so."""
        try:
            cancelled = await self._queries.imports.keep(
                import_id=going.import_id, process_id=self._process_id, **_progress(going.news)
            )
        except Exception as error:  # of any kind: the next round tries again
            logger.warning("the progress of import %s was not written, trying again: %r", going.import_id, error)
            return
        if cancelled is None:
            going.stop("lost")  # its user was erased, or another process took this one for dead
        elif cancelled:
            going.stop("cancelled")

    async def _end(self, going: _Going, status: str, detail: str | None) -> None:
        news = going.news
        if status == "lost":
            return
        try:
            await self._queries.imports.finish(
                import_id=going.import_id,
                process_id=self._process_id,
                status=status,
                remarks=msgspec.json.encode(news.remarks),
                losses=news.losses,
                notes=news.notes,
                detail=detail,
                **_progress(news),
            )
        except Exception as error:  # of any kind: another process ends it when it has had no sign of life
            logger.warning("the end of import %s was not written: %r", going.import_id, error)


def _progress(news: News) -> dict[str, Any]:
    counts = msgspec.json.encode(news.counts)
    return {"bytes_read": news.bytes_read, "bytes_total": news.bytes_total, "counts": counts}


def _environment() -> dict[str, str]:
    """Returns the environment of the process of an import; the package is found without the current folder."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return kept | {"PYTHONPATH": str(Path(amplifier.__file__).parent.parent)}
