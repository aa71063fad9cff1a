"""A process of the service that a test kills, suspends and starts again, always on the same port."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from tests.faults.history import now
from tests.support.service import LIMIT, _environment, check_output, free_port


class Process:
    """One process of the service.

    `environ` has its settings, `command` the words before `amplifier-api serve` (`faketime`, `prlimit`).
    `suspended` has the times in which it was paused.
    """

    def __init__(self, environ: Mapping[str, str], log: Path, command: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {**environ, "SERVICE_PORT": str(self.port)}
        self.command = list(command)
        self.suspended: list[tuple[float, float]] = []
        self.process: subprocess.Popen[bytes] | None = None
        self._log = log

    @property
    def output(self) -> str:
        """Everything that was written by all processes on this port."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Starts the process, and returns when it is ready."""
        self.launch()
        await self.ready()

    def launch(self) -> None:
        """Starts the process without waiting for it."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, sys.executable, "-m", "amplifier", "serve"],
                env=_environment(self.environ),
                cwd=self._log.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def ready(self, limit: float = 4 * LIMIT) -> None:
        """Waits until the process is ready. Fails if it ends."""
        assert self.process is not None
        async with asyncio.timeout(limit), httpx.AsyncClient(timeout=5, verify=False) as client:
            while True:
                assert self.process.poll() is None, f"status {self.process.returncode}\n{self.output[-3000:]}"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/health/ready")).status_code == 200:
                        return
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """Kills the process and its children."""
        assert self.process is not None
        os.killpg(self.pid, signal.SIGKILL)
        await asyncio.to_thread(self.process.wait, 10)

    def pause(self) -> None:
        """Suspends the process."""
        os.killpg(self.pid, signal.SIGSTOP)
        self.suspended.append((now(), float("inf")))

    def resume(self) -> None:
        """Lets the process continue."""
        os.killpg(self.pid, signal.SIGCONT)
        self.suspended[-1] = (self.suspended[-1][0], now())

    async def terminate(self) -> int:
        """Sends SIGTERM, waits, and returns the exit status."""
        assert self.process is not None
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, LIMIT)

    def ask_to_end(self) -> None:
        """Sends SIGTERM if the process runs, also to one that is suspended."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            os.killpg(self.pid, signal.SIGCONT)

    def end(self) -> None:
        """Waits until the process has ended, or kills it, and checks that no secret is in what it wrote."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(LIMIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(LIMIT)
        check_output(self.environ, self.output)
