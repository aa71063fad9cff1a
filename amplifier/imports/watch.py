"""Imports what tools write while they write it.

A file that changed is read from its beginning, to compare it with what is stored. After each round the command rests
for several times as long as the round took, so that a large file that grows does not keep a processor busy.
"""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event

import psycopg
import watchfiles

from amplifier.imports import formats
from amplifier.imports.importer import Importer
from amplifier.imports.items import Source

_STEP, _DEBOUNCE = 50, 400  # milliseconds: changes are collected until none came for a step, at most so long
_FIRST = 500  # milliseconds after which what changed before the folders were watched is looked for
_REST, _LONGEST_REST = 4, 30.0  # times as long as a round took, and at most so many seconds
_EARLIER = 2.0  # seconds by which the time of a file may lie before that of this process

Tell = Callable[[str], object]


def follow(importer: Importer, paths: list[Path], format: str, since: float, tell: Tell) -> None:
    """Imports each file below the paths that changes, or has changed since a time. Returns when the process is to stop.

    `since` is a time of `time.time`.
    """
    existing = [path for path in paths if path.exists()]
    waiting: set[Path] | None = None
    for changes in watchfiles.watch(
        *existing,
        step=_STEP,
        debounce=_DEBOUNCE,
        rust_timeout=_FIRST,
        yield_on_timeout=True,
        raise_interrupt=False,
        ignore_permission_denied=True,
    ):
        if waiting is None:
            waiting = _changed_since(existing, format, since - _EARLIER)
        waiting |= {Path(path) for kind, path in changes if kind is not watchfiles.Change.deleted}
        if waiting:
            began = time.monotonic()
            waiting = _import(importer, _sources(sorted(waiting), format), tell, waiting)
            if not waiting:
                _rest(time.monotonic() - began)


def _rest(seconds: float) -> None:
    """Waits for several times the seconds, and ends early by the exception of a signal."""
    if seconds > _STEP / 1000:
        Event().wait(min(seconds * _REST, _LONGEST_REST))


def _changed_since(paths: list[Path], format: str, since: float) -> set[Path]:
    """Returns the files of known formats that were written after a time."""
    ignored = lambda path, reason: None  # noqa: E731 - reported by the import of all files
    return {source.path for source in formats.found(paths, format, ignored, ignored) if _modified(source.path) >= since}


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _sources(files: Iterable[Path], format: str) -> list[Source]:
    found = []
    for file in files:
        try:
            source = formats.source(file, format) if file.is_file() else None
        except OSError:
            continue  # replaced or deleted meanwhile: another change follows
        if source is not None:
            found.append(source)
    return found


def _import(importer: Importer, sources: list[Source], tell: Tell, files: set[Path]) -> set[Path]:
    """Imports the sources. Returns the files that have to wait for another import of this user."""
    if not sources:
        return set()
    report = importer.report
    before, said = report.total("messages"), len(report.remarks)
    try:
        with importer.alone():
            for source in sources:
                importer.take(source)
            importer.finish()
    except psycopg.errors.LockNotAvailable:
        tell("another import for this user is running, or a session is locked: waiting for it")
        return files
    if (added := report.total("messages") - before) > 0:
        tell(f"{added} new in {', '.join(str(source.path) for source in sources)}")
    for remark in report.remarks[said:]:
        tell(str(remark))
    return set()
