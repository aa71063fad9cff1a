"""The writer of the log: nothing is lost when it stops, and nothing waits for a reader that does not read."""

import os
import sys
import threading

import pytest

from amplifier.telemetry import log_writer
from amplifier.telemetry.log_writer import LogWriter, chunks


class Pipe:
    """A pipe that is stderr from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, writing = os.pipe()
        self.stderr = os.fdopen(writing, "w")
        monkeypatch.setattr(sys, "stderr", self.stderr)  # in the test, because pytest sets it after its fixtures

    def read_all(self) -> bytes:
        """Closes the end that writes, and returns what was written."""
        self.stderr.close()
        with os.fdopen(self.reading, "rb") as reader:
            return reader.read()


def told(dropped: int) -> bytes:
    return b"%d dropped\n" % dropped


def test_lines_are_written_at_once_or_by_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, writer = Pipe(monkeypatch), LogWriter(told)
    writer.put(b"before\n")
    with writer.background():
        for number in range(2000):
            writer.put(b"%d\n" % number)
    writer.put(b"after\n")
    lines = pipe.read_all().split()
    assert lines == [b"before", *(b"%d" % number for number in range(2000)), b"after"]


def test_lines_of_all_threads_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, writer = Pipe(monkeypatch), LogWriter(told)

    def work(name: int) -> None:
        for number in range(500):
            writer.put(b"%d.%d\n" % (name, number))

    with writer.background():
        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(pipe.read_all().split()) == sorted(b"%d.%d" % (a, b) for a in range(4) for b in range(500))


def test_pipe_that_nobody_reads_blocks_nothing_and_drops_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_WAITING", 200_000)
    pipe, writer = Pipe(monkeypatch), LogWriter(told)
    line = b"x" * 99 + b"\n"
    with writer.background():
        for _ in range(10_000):  # 1 MB, of which the pipe takes 64 kB
            writer.put(line)
        found: list[bytes] = []
        reader = threading.Thread(target=lambda: found.append(_read_until(pipe.reading, b"dropped\n")), daemon=True)
        reader.start()
        reader.join(20)
    [output] = found
    written, dropped = output.count(line), int(output.splitlines()[-1].split()[0])
    assert dropped > 0
    assert written + dropped == 10_000


def test_end_does_not_wait_for_a_reader_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "_LAST", 0.05)
    pipe, writer = Pipe(monkeypatch), LogWriter(told)
    with writer.background():
        writer.put(b"x" * 100_000 + b"\n")
    writer.put(b"lost\n")  # would block
    output = b""
    while len(output) < 100_001:
        output += os.read(pipe.reading, 65536)
    assert output == b"x" * 100_000 + b"\n"
    assert b"lost" not in pipe.read_all()


def test_closed_pipe_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe, writer = Pipe(monkeypatch), LogWriter(told)
    os.close(pipe.reading)
    writer.put(b"lost\n")
    with writer.background():
        writer.put(b"lost\n")
    assert writer._thread is None
    monkeypatch.undo()
    os.dup2(os.open(os.devnull, os.O_WRONLY), pipe.stderr.fileno())
    pipe.stderr.close()


def test_chunks_end_at_lines() -> None:
    lines = [b"a" * 60, b"b" * 39, b"c" * 2, b"d" * 500, b"e"]
    assert list(chunks(lines, 100)) == [b"a" * 60 + b"b" * 39, b"cc", b"d" * 500, b"e"]


def _read_until(fd: int, end: bytes) -> bytes:
    output = b""
    while not output.endswith(end):
        output += os.read(fd, 65536)
    return output
