"""Measures `amplifier-api import` beside a raw COPY of the same rows into the same tables, in turns, and its memory.

`python -m benchmarks.imports` takes about four minutes. `--parts memory --gigabytes 10` and `--parts sessions
--sessions 100000` are larger.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from amplifier.postgres import scratch
from amplifier.schema import migrate
from amplifier.settings import Settings
from benchmarks.figures import at_least, at_most

GOAL, MOST_MEMORY = 0.5, 1.3  # of the rate of COPY; of the memory with a quarter of the input
MESSAGES, WORDS = 200, 120  # of a session; of a message
VOCABULARY = 20_000
IMAGE = 200_000  # bytes: a screenshot
USER = "ann"
# in the order of their foreign keys, with the columns that no trigger fills
TABLES = {
    "users": "user_id, last_seen_app_id, total_sessions",
    "sessions": "session_id, external_id, owner_user_id, created_by_app_id, last_accessed_by_app_id, title, tags,"
    " metadata, created_at, updated_at, last_seq, message_count, messages_total",
    "session_participants": "session_id, user_id, role, joined_at, last_active_at, last_read_seq",
    "messages": "session_id, seq, message, author_user_id, author_app_id, created_at",
    "session_origins": "session_id, tool, tool_version, source_id, path, title, lines, digest, is_whole, files",
    "session_origin_lines": "session_id, first_line, numbers, message_seqs, lines",
}


class Taken(NamedTuple):
    """The seconds, processor seconds and peak memory in MB of a command."""

    seconds: float
    processor: float
    memory: float


def main(arguments: list[str] | None = None) -> None:
    """Prints the tables of benchmarks/README.md."""
    parser = argparse.ArgumentParser("python -m benchmarks.imports", description=__doc__)
    parser.add_argument("--parts", default="rate,memory,sessions", help="parts to measure, separated by commas")
    parser.add_argument("--megabytes", type=int, default=30, help="input of the rate")
    parser.add_argument("--rounds", type=int, default=2, help="turns of the rate")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="input of the memory")
    parser.add_argument("--sessions", type=int, default=10_000, help="files of a few messages")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="amplifier-bench-")))
        server = stack.enter_context(scratch.server(None, Settings().amplifier_user))
        parts = options.parts.split(",")
        if "rate" in parts:
            rate(server, folder, options.megabytes, options.rounds)
        if "memory" in parts:
            memory(server, folder, options.gigabytes)
        if "sessions" in parts:
            sessions(server, folder, options.sessions)


def rate(server: str, folder: Path, megabytes: int, rounds: int) -> None:
    """Prints the rates of both sides, one round after the other."""
    path = folder / "rate"
    size = write(path, megabytes * 1_000_000)
    print("| round | import, s | COPY, s | rate of the import | processor seconds of the import | memory, MB |")
    print("|---|---|---|---|---|---|")
    ratios = []
    for number in range(rounds):
        with database(server) as dsn, database(server) as other:
            taken = imported(dsn, path)
            copied = copy(dsn, other, folder)
            ratios.append(copied / taken.seconds)
            cells = [number + 1, f"{taken.seconds:.1f}", f"{copied:.1f}", f"{size / 1e6 / taken.seconds:.1f} MB/s"]
            print(f"| {' | '.join(map(str, [*cells, f'{taken.processor:.1f}', f'{taken.memory:.0f}']))} |", flush=True)
    best = max(ratios)
    print(f"\nimport to COPY: {', '.join(f'{one:.2f}' for one in ratios)}; {at_least(best, GOAL)}\n", flush=True)


def memory(server: str, folder: Path, gigabytes: float) -> None:
    """Prints the peak memory with one large file of screenshots, and with a quarter of it."""
    print("| input, MB, one file | seconds | MB/s | memory, MB |\n|---|---|---|---|")
    peaks = []
    for share in (0.25, 1):
        path = folder / f"memory-{share}"
        size = write(path, int(gigabytes * share * 1e9), messages=10**9, images=True)
        with database(server) as dsn:
            taken = imported(dsn, path)
        peaks.append(taken.memory)
        row = (f"{size / 1e6:.0f}", f"{taken.seconds:.1f}", f"{size / 1e6 / taken.seconds:.1f}", f"{taken.memory:.0f}")
        print(f"| {' | '.join(row)} |", flush=True)
        for file in path.iterdir():
            file.unlink()
    print(
        f"\nmemory with four times the input: {peaks[1] / peaks[0]:.2f}; {at_most(peaks[1] / peaks[0], MOST_MEMORY)}\n"
    )


def sessions(server: str, folder: Path, count: int) -> None:
    """Prints the rate with many small files, and that of a second import of them."""
    path = folder / "many"
    size = write(path, count * 4 * 1190, messages=4)
    print("| import | files | MB | seconds | files a second | memory, MB |\n|---|---|---|---|---|---|")
    files = sum(1 for _ in path.iterdir())
    with database(server) as dsn, database(server) as other:
        took = 0.0
        for name in ("first", "second"):
            taken = imported(dsn, path)
            took = took or taken.seconds
            cells = (name, files, f"{size / 1e6:.0f}", f"{taken.seconds:.1f}", f"{files / taken.seconds:.0f}")
            print(f"| {' | '.join(map(str, cells))} | {taken.memory:.0f} |", flush=True)
        ratio = copy(dsn, other, folder) / took
    print(f"\nimport to COPY: {ratio:.2f}; {at_least(ratio, GOAL)}\n")


def write(folder: Path, size: int, messages: int = MESSAGES, images: bool = False) -> int:
    """Writes sessions of Claude Code of about `size` bytes. Returns their size."""
    folder.mkdir()
    drawn = random.Random(20261201)
    words = ["".join(drawn.choices("abcdefghijklmnopqrstuvwxyz", k=drawn.randint(3, 10))) for _ in range(VOCABULARY)]
    written = number = 0
    while written < size:
        number += 1
        with (folder / f"s{number:06}.jsonl").open("wb") as file:
            for entry in entries(drawn, words, f"s{number:06}", images):
                written += file.write(json.dumps(entry).encode() + b"\n")
                if written >= size or entry["number"] >= messages:
                    break
    return written


def entries(drawn: random.Random, words: list[str], session: str, images: bool) -> Iterator[dict[str, Any]]:
    """Yields the entries of a session without end."""
    number, parent = 0, None
    while True:
        number += 1
        role = "user" if number % 2 else "assistant"
        content: list[dict[str, Any]] = [{"type": "text", "text": " ".join(drawn.choices(words, k=WORDS))}]
        if images and role == "user" and number > 1:  # the first line is short enough to know the format by
            data = base64.b64encode(drawn.randbytes(IMAGE)).decode()
            source = {"type": "base64", "media_type": "image/png", "data": data}
            content.append({"type": "image", "source": source})
        yield {
            "type": role,
            "uuid": f"{session}-{number}",
            "parentUuid": parent,
            "sessionId": session,
            "cwd": "/home/ann/shop",
            "gitBranch": "main",
            "version": "2.1.0",
            "timestamp": f"2026-03-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.000Z",
            "message": {"role": role, "content": content},
            "number": number,
        }
        parent = f"{session}-{number}"


@contextlib.contextmanager
def database(server: str) -> Iterator[str]:
    """Yields the address of a new database with all migrations."""
    with scratch.database(server) as dsn:
        migrate.migrate(dsn)
        yield dsn


def imported(dsn: str, folder: Path) -> Taken:
    """Runs the command on a folder."""
    command = [sys.executable, "-m", "amplifier", "import", "--user", USER, str(folder)]
    environ = {**os.environ, "DATABASE_URL": dsn}
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"the import exited with {process.returncode}")
    return Taken(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def copy(dsn: str, other: str, folder: Path) -> float:
    """Copies the rows of a database into another one. Returns the seconds that the writing took."""
    for table, columns in TABLES.items():
        with (
            psycopg.connect(dsn) as connection,
            connection.cursor().copy(f"copy {table} ({columns}) to stdout (format binary)") as rows,
            (folder / table).open("wb") as file,
        ):
            for data in rows:
                file.write(data)
    seconds = 0.0
    with psycopg.connect(other) as connection:
        for table, columns in TABLES.items():
            began = time.perf_counter()
            statement = f"copy {table} ({columns}) from stdin (format binary)"
            with (folder / table).open("rb") as file, connection.cursor().copy(statement) as rows:
                while data := file.read(256 * 1024):
                    rows.write(data)
            seconds += time.perf_counter() - began
        began = time.perf_counter()
        connection.commit()
    return seconds + time.perf_counter() - began


if __name__ == "__main__":
    main()
