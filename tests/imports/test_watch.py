"""`amplifier-api import --watch` as a process: what tools write becomes messages and reaches followers."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from amplifier.imports import statements
from tests.conftest import settings_for
from tests.support.live import LIMIT, live
from tests.support.live import until as eventually
from tests.support.service import _environment, wait_until
from tests.support.session_files import Claude, add, line, write

pytestmark = pytest.mark.slow

Sql = Callable[..., list[Any]]
COUNT = "select count(*)::int from messages"


class Watch:
    """The running command, and what it printed."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self._log = process, log

    @property
    def output(self) -> str:
        """Everything on stdout and stderr so far."""
        return self._log.read_text()

    def says(self, text: str) -> None:
        """Returns when the command has printed the text."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, LIMIT, lambda: self.output)
        assert text in self.output

    def end(self, number: int) -> int:
        """Sends a signal, and returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)


@contextlib.contextmanager
def watching(dsn: str, folder: Path) -> Iterator[Watch]:
    """Runs the command on a folder until it has imported what is there and watches."""
    log = folder.parent / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "amplifier", "import", "--watch", "--user", "ann", str(folder)],
            env=_environment({"DATABASE_URL": dsn}),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        watch = Watch(process, log)
        try:
            watch.says("watching: stop with Ctrl-C")
            yield watch
        finally:
            process.kill()
            process.wait(LIMIT)


async def test_appended_line_becomes_message_and_reaches_followers(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "files/s1.jsonl", [claude.say("one")])
    async with live(settings_for(dsn)) as api:
        ann = await api.as_user("ann")
        with watching(dsn, path.parent) as watch:
            [(session_id,)] = sql("select session_id from sessions")
            async with api.stream(ann, f"/sessions/{session_id}/events?after=1") as stream:
                add(path, claude.answer("a purple answer"))
                event = await stream.next("message.created")
                assert event is not None
                assert event.id == 2
            found = (await ann.get("/search", params={"q": "purple"})).json()["items"]
            assert [one["seq"] for one in found] == [2]
            await eventually(lambda: f"1 new in {path}" in watch.output)
            assert watch.end(signal.SIGTERM) == 0, watch.output


def test_half_written_line_waits_for_its_end(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "files/s1.jsonl", [claude.say("one")])
    with watching(dsn, path.parent) as watch:
        second, third = line(claude.answer("two")), line(claude.say("three"))
        add(path, second + third[:60])
        watch.says(f"{path}:3: it is written in part")
        wait_until(lambda: sql(COUNT) == [(2,)], LIMIT, lambda: watch.output)
        add(path, third[60:])
        wait_until(lambda: sql(COUNT) == [(3,)], LIMIT, lambda: watch.output)
        assert watch.end(signal.SIGINT) == 0, watch.output


def test_new_file_and_replaced_file_are_imported(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "files/s1.jsonl", [claude.say("one")])
    with watching(dsn, path.parent) as watch:
        write(path.parent / "deeper/s2.jsonl", [Claude("s2").say("another")])
        wait_until(lambda: sql(COUNT) == [(2,)], LIMIT, lambda: watch.output)
        new = write(tmp_path / "new", [claude.answer("two")])
        new.write_bytes(path.read_bytes() + new.read_bytes())
        os.replace(new, path)
        wait_until(lambda: sql(COUNT) == [(3,)], LIMIT, lambda: watch.output)
        assert watch.process.poll() is None


def test_watch_waits_for_another_import_of_the_user(dsn: str, sql: Sql, tmp_path: Path) -> None:
    claude = Claude("s1")
    path = write(tmp_path / "files/s1.jsonl", [claude.say("one")])
    with watching(dsn, path.parent) as watch:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(statements.LOCK, ("ann",))
            add(path, claude.answer("two"))
            watch.says("another import for this user is running")
        wait_until(lambda: sql(COUNT) == [(2,)], LIMIT, lambda: watch.output)
        assert watch.end(signal.SIGTERM) == 0, watch.output
