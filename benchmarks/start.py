"""Measures the seconds from the command to the first response: with an empty home, and with an existing one.

An empty home is measured without prepared files, and with them. Python's bytecode is there, as after an installation.
"""

import contextlib
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from amplifier.postgres import embedded, server_process
from amplifier.postgres.os_user import account_of, make_private, reachable_install

ROUNDS = 5


def main() -> None:
    """Prints the table."""
    floors: list[float] = []
    found: dict[str, list[float]] = {"first start, nothing prepared": [], "first start, prepared": [], "warm start": []}
    made, copied, warm = found.values()
    with _folder() as shared:
        os.environ["PYTHONPYCACHEPREFIX"] = str(shared / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["AMPLIFIER_CACHE"] = str(shared / "cache")
        subprocess.run([sys.executable, "-m", "amplifier", "prepare"], check=True, stdout=subprocess.DEVNULL)
        with _folder() as home:
            _serve(home)
        for _ in range(ROUNDS):
            with _folder() as home:
                floors.append(_floor(home))
            with _folder() as home:
                made.append(_serve(home, AMPLIFIER_CACHE="none"))
            with _folder() as home:
                copied.append(_serve(home))
                warm.append(_serve(home))
    print(f"{'initdb and start alone':34}{statistics.median(floors):>9.2f}s")
    for title, seconds in found.items():
        ratios = sorted(one / beside for one, beside in zip(seconds, floors, strict=True))
        print(
            f"{title:34}{statistics.median(seconds):>9.2f}s"
            f"{statistics.median(ratios):>18.2f}   {ratios[0]:.2f}..{ratios[-1]:.2f}"
        )


def _floor(home: Path) -> float:
    """Returns the seconds that PostgreSQL itself needs for `initdb` and its start with the same files."""
    account = account_of("amplifier-api")
    make_private(home, account)
    install = reachable_install(embedded.wheel_install(), home, account)
    started = time.perf_counter()
    with (home / "log").open("wb") as log:
        command = [str(install / "bin/initdb"), "-D", str(home / "data"), "-U", "amplifier", "--encoding=UTF8"]
        command += ["--data-checksums", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        assert server_process.popen(command, account, log).wait() == 0
        server = server_process.popen(
            [str(install / "bin/postgres"), "-D", str(home / "data"), "-k", str(home), "-c", "listen_addresses="],
            account,
            log,
        )
        while "ready to accept connections" not in (home / "log").read_text():
            time.sleep(0.002)
        seconds = time.perf_counter() - started
        server_process.stop(server)
    return seconds


def _serve(home: Path, **more: str) -> float:
    """Returns the seconds from `amplifier-api serve` to its first response."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environ = {**os.environ, "AMPLIFIER_HOME": str(home), "SERVICE_PORT": str(port), "LOG_LEVEL": "warning", **more}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "amplifier", "serve"], env=environ, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None and time.perf_counter() - started < 60:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                return time.perf_counter() - started
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.005)
        sys.exit("the service did not start")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Creates a folder that PostgreSQL's user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="amplifier-bench-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
