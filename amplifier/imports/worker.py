"""The process that reads one import which was sent to the service: `python -m amplifier.imports.worker`.

It has a memory, a processor share and a connection of its own, so that no file delays or ends the service. The service
writes a Job to its stdin and reads News from its stdout, lines of JSON. When stdin ends, the service has died: the
files are removed, and the process ends.
"""

import contextlib
import os
import resource
import select
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from amplifier.errors import OperatorError
from amplifier.imports import archive, formats
from amplifier.imports.importer import Importer
from amplifier.imports.redaction import Redaction
from amplifier.imports.report import Remark, Report
from amplifier.imports.store import ImportFailed, Store, connected

_PACE = 0.5  # seconds between two News
_NICE = 10
_MEMORY = 3 * 1024**3  # bytes of address space: files that ask for more end this process, not the service
_MOST, _LONGEST = 1000, 500  # remarks that are kept, and characters of each
_TRIES = 100  # to remove files while they are being written
_COUNTS = ("files", "new", "grown", "forked", "same", "messages")
_TOO_LARGE = "A file needs too much memory to be read: send it in parts"
_DAMAGED = "The service could not read it: this is a fault of the service, which its log describes"


class Job(msgspec.Struct):
    """An import. `folder` has the file `body`; `password` is a token to sign in with, or None."""

    folder: str
    name: str
    dsn: str
    password: str | None
    user_id: str
    config_id: str | None
    format: str
    redacts: list[str]
    most: int


class News(msgspec.Struct, omit_defaults=True):
    """The progress of an import, and in the last one its end; `fault` is for the log."""

    bytes_read: int = 0
    bytes_total: int | None = None
    counts: dict[str, dict[str, int]] = {}
    is_end: bool = False
    detail: str | None = None
    remarks: list[dict[str, Any]] = []
    losses: int = 0
    notes: int = 0
    fault: str | None = None


class Work:
    """Reads one import and says how far it is."""

    def __init__(self, job: Job) -> None:
        self._job, self._report = job, Report()
        self._read, self._total, self._said = 0, 0, 0.0

    def run(self) -> None:
        """Imports, and writes the last News."""
        detail = fault = None
        try:
            self._import()
        except archive.ArchiveError as error:
            detail = f"Nothing was imported: {error}"
        except ImportFailed as error:
            detail, fault = _words(error), repr(type(error.__cause__))
        except OperatorError as error:
            detail, fault = "The service cannot import: its log says why", str(error)
        except MemoryError:
            detail = _TOO_LARGE
        except Exception as error:  # of any kind: the user hears of it
            detail = _DAMAGED
            fault = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
        report = self._report
        remarks = sorted(report.remarks, key=lambda remark: not remark.is_loss)[:_MOST]
        shown = [_shown(remark) for remark in remarks]
        self._say(True, detail=detail, remarks=shown, losses=report.losses, notes=report.notes, fault=fault)

    def _import(self) -> None:
        job, report = self._job, self._report
        folder = Path("files")
        folder.mkdir()
        archive.unpack(Path("body"), folder, job.name, job.most, report.file)
        os.chdir(folder)  # so that paths are those of the archive, in the report and in session_origins
        sources = list(
            formats.found([Path(name) for name in sorted(os.listdir())], job.format, report.file, report.skip)
        )
        self._total = sum(source.size for source in sources)
        if not sources:
            raise archive.ArchiveError("it has no file of a format that is known: see the formats in docs/import.md")
        self._say()
        with connected(job.dsn) as connection:
            store = Store(connection, job.user_id, job.config_id)
            importer = Importer(store, report, Redaction(bool(job.redacts), frozenset(job.redacts)))
            with importer.alone():
                for source in sources:
                    importer.take(source, self._note)
                importer.finish()

    def _note(self, size: int) -> None:
        self._read += size
        if time.monotonic() - self._said > _PACE:
            self._say()

    def _say(self, is_end: bool = False, **more: Any) -> None:
        self._said = time.monotonic()
        counts = {tool: {name: one[name] for name in _COUNTS} for tool, one in self._report.counts.items()}
        news = News(min(self._read, self._total), self._total, counts, is_end, **more)
        sys.stdout.buffer.write(msgspec.json.encode(news) + b"\n")
        sys.stdout.buffer.flush()


def _shown(remark: Remark) -> dict[str, Any]:
    path = os.fsencode(remark.path).decode(errors="replace")[-_LONGEST:]
    line = remark.number or None
    return {"file": path, "line": line, "detail": remark.reason[:_LONGEST], "is_loss": remark.is_loss}


def _words(error: ImportFailed) -> str:
    """Returns why an import failed, without what the database said."""
    cause = error.__cause__
    if cause is None:
        return str(error)
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return "Another import of yours is running, or a session is locked: send it again, nothing is doubled"
    if isinstance(cause, psycopg.OperationalError):
        return "The database could not be reached: send it again, nothing is doubled"
    return "The database refused it: the log of the service says why"


def _end_with_service(folder: Path) -> None:
    """Ends this process and removes its files when the service has died."""
    sys.stdin.buffer.read()
    _remove(folder)
    os._exit(1)


def _remove(folder: Path) -> None:
    """Removes a folder, also if files are being written into it."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            break


def main() -> None:
    """Reads the Job and works on it."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    folder = Path(job.folder)
    threading.Thread(target=_end_with_service, args=(folder,), daemon=True).start()
    with contextlib.suppress(OSError, ValueError):
        os.nice(_NICE)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    if job.password is not None:
        os.environ["PGPASSWORD"] = job.password
    os.chdir(folder)
    status = 1
    try:
        Work(job).run()
        sys.stdout.buffer.flush()
        status = 0
    finally:  # also after BrokenPipeError
        if select.select((sys.stdin.fileno(),), (), (), 0)[0]:  # stdin has ended: nobody else removes the files
            _remove(folder)
        os._exit(status)  # not through the thread that waits for stdin


if __name__ == "__main__":
    main()
