"""amplifier-api prepare: makes the files of new embedded databases ahead, so that first starts only copy them.

`serve` runs it in the background after a first start that had to make its files itself.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from amplifier.errors import OperatorError, Unavailable
from amplifier.postgres import embedded, prepared, server_start
from amplifier.postgres.server_process import popen
from amplifier.settings import Settings

logger = logging.getLogger(__name__)

_AFTER = 3.0  # seconds after a first start, which has the processor to itself until then
_NICENESS = 10
_STOP_LIMIT = 30.0  # seconds


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    prepare = commands.add_parser("prepare", help="prepare files of embedded databases, for faster first starts")
    prepare.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
    prepare.set_defaults(run=_prepare)


def _prepare(settings: Settings, arguments: argparse.Namespace) -> None:
    if settings.cache is None:
        raise OperatorError("there is no folder for prepared files: name one in AMPLIFIER_CACHE")
    if arguments.background:
        os.nice(_NICENESS)
    try:
        entry = _make(settings, settings.cache)
    except OSError as error:
        raise OperatorError(f"the files cannot be kept in {settings.cache}: {error.strerror}") from error
    if not arguments.background:
        print("another process prepares the files" if entry is None else f"the files are in {entry}")


def _make(settings: Settings, cache: Path) -> Path | None:
    """Returns the prepared files, which it makes if there are none. Returns None if another process makes them."""
    from amplifier.schema import migrate, notification_keys, service_login

    install = embedded.wheel_install()
    entry = prepared.entry(cache, install, server_start.options_of(install))
    with prepared.exclusively(cache) as mine:
        if not mine or prepared.is_kept(entry):
            return entry if mine else None
        folder = Path(tempfile.mkdtemp(prefix="amplifier-"))
        try:
            with embedded.running(folder, settings.amplifier_user) as dsn:
                migrate.migrate(dsn, level=logging.DEBUG)
                service_login.ensure(dsn, embedded.SERVICE)
                notification_keys.remove(dsn)
                asyncio.run(_check_queries(settings, embedded.service_address(dsn), folder / "data"))
            prepared.keep(folder / "data", entry)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return entry


async def _check_queries(settings: Settings, dsn: str, data: Path) -> None:
    """Checks the queries, so that starts from the files need not. Faults are for `serve` to tell."""
    from amplifier.cli.target_database import connected
    from amplifier.queries.checks.unchanged import check_changed
    from amplifier.server.row_structs import STRUCTS

    with contextlib.suppress(OperatorError, Unavailable):
        async with connected(settings, dsn) as queries:
            await check_changed(queries, STRUCTS, data)


def is_missing(settings: Settings) -> bool:
    """Returns whether the home has no data, and no prepared files could become its data."""
    if settings.cache is None or (settings.home / "data/PG_VERSION").exists():
        return False
    install = embedded.wheel_install()
    return not prepared.is_kept(prepared.entry(settings.cache, install, server_start.options_of(install)))


@contextlib.contextmanager
def in_background() -> Iterator[None]:
    """Prepares files in another process during the context, some seconds after it is entered."""
    over = threading.Event()
    thread = threading.Thread(target=_until, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _until(over: threading.Event) -> None:
    """Waits, then runs the command until it ends or `over` is set, from this thread: Linux ends it with its thread."""
    if over.wait(_AFTER):
        return
    command = [sys.executable, "-m", "amplifier", "prepare", "--background"]
    with tempfile.TemporaryFile() as log:
        child = popen(command, None, log)
        try:
            while child.poll() is None and not over.wait(0.1):
                pass
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
            _await(child)
        if child.returncode:
            log.seek(0)
            logger.info("no files were prepared: %s", log.read().decode(errors="replace")[-500:])


def _await(child: "subprocess.Popen[bytes]") -> None:
    try:
        child.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
