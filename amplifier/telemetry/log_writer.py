"""Writes lines of the log to stderr, in a thread while the service serves: no request waits for their reader."""

import contextlib
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterator

MOST_WAITING = 4 * 1024 * 1024  # bytes of lines that wait for the thread; further lines are dropped and counted
_PAUSE = 0.02  # seconds in which the thread collects lines: each time it wakes, it takes turns with the requests
_AT_ONCE = 64 * 1024  # bytes of one write to a file
_PIPE = 4096  # bytes of one write to a pipe (PIPE_BUF), which no other process interrupts
_LAST = 2.0  # seconds for the last lines when the service stops

Told = Callable[[int], bytes]


class LogWriter:
    """Writes whole lines. A line is written at once, or by the thread within `background()`.

    `told` returns the line that says how many lines were dropped because nobody read stderr.
    """

    def __init__(self, told: Told) -> None:
        self._told = told
        self._lock = threading.Lock()
        self._lines: list[bytes] = []
        self._size = self._dropped = 0
        self._is_idle, self._is_ending, self._is_stuck = True, False, False
        self._wake, self._hurry = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Writes a line, which ends with a line break. Never waits within `background()`."""
        if self._thread is None:
            return self._write_now(line)
        with self._lock:
            if self._size + len(line) > MOST_WAITING:
                self._dropped += 1
                return None
            self._lines.append(line)
            self._size += len(line)
            wakes, self._is_idle = self._is_idle, False
        if wakes:
            self._wake.set()
        return None

    @contextlib.contextmanager
    def background(self) -> Iterator[None]:
        """Writes lines in a thread within the context. At its end it waits at most two seconds for the last ones."""
        self._is_ending = False
        self._wake.clear()
        self._hurry.clear()
        self._thread = thread = threading.Thread(target=self._keep_writing, name="log", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._is_ending = True
            self._hurry.set()
            self._wake.set()
            thread.join(_LAST)
            self._is_stuck = thread.is_alive()
            self._thread = None

    def _write_now(self, line: bytes) -> None:
        if self._is_stuck or sys.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):  # the program that reads the log may have ended
            sys.stderr.write(line.decode(errors="replace"))
            sys.stderr.flush()

    def _keep_writing(self) -> None:
        fd = sys.stderr.fileno()
        most = _AT_ONCE if stat.S_ISREG(os.fstat(fd).st_mode) else _PIPE
        while True:
            self._wake.wait()
            self._hurry.wait(_PAUSE)
            with self._lock:
                self._wake.clear()
                lines, self._lines, self._size, self._is_idle = self._lines, [], 0, True
                dropped, self._dropped = self._dropped, 0
            if dropped:
                lines.append(self._told(dropped))
            for chunk in chunks(lines, most):
                _write(fd, chunk)
            if self._is_ending and not self._lines:
                return


def chunks(lines: list[bytes], most: int) -> Iterator[bytes]:
    """Yields the lines joined to chunks of at most `most` bytes. A longer line is a chunk by itself."""
    chunk: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) > most and chunk:
            yield b"".join(chunk)
            chunk, size = [], 0
        chunk.append(line)
        size += len(line)
    if chunk:
        yield b"".join(chunk)


def _write(fd: int, chunk: bytes) -> None:
    """Writes all bytes, however long it takes. They are lost if nobody can read them any more."""
    while chunk:
        try:
            chunk = chunk[os.write(fd, chunk) :]
        except BlockingIOError:  # whoever shares the terminal or pipe may have made it so
            select.select([], [fd], [])
        except OSError:
            return
