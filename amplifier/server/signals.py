"""Handles SIGHUP in serving processes, and stops a worker whose parent has died. Uvicorn handles the other signals."""

import asyncio
import multiprocessing
import os
import signal
import termios
import threading
from collections.abc import Callable
from types import FrameType


def end_with_parent() -> None:
    """Stops this worker process when its parent is killed: otherwise it would keep the port open."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


def drain_on_termination(drain: Callable[[], None], delay: float) -> None:
    """Makes SIGTERM call `drain`, and uvicorn stop the process `delay` seconds later.

    Call it in the event loop, after uvicorn has set its own handlers. Another SIGTERM, or Ctrl-C, stops at once.
    """
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    if not callable(stop):  # uvicorn handles no signals outside the main thread
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        drain()
        if delay:
            loop.call_soon_threadsafe(loop.call_later, delay, stop, number, frame)
        else:
            stop(number, frame)

    signal.signal(signal.SIGTERM, handle)


def reload_on_hangup(reload: Callable[[], None]) -> None:
    """Calls `reload` on SIGHUP. Ends the process instead if the terminal in which it started has been closed."""
    is_hung_up = _terminal()

    def handle(*_: object) -> None:
        if is_hung_up():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reload()

    signal.signal(signal.SIGHUP, handle)


def forward_hangups() -> None:
    """Makes the parent of several workers forward SIGHUP to the first one, which notifies the others."""
    from uvicorn.supervisors import Multiprocess

    is_hung_up = _terminal()

    def handle_hup(self: Multiprocess) -> None:
        if is_hung_up():
            self.handle_term()
        elif (pid := self.processes[0].pid) is not None:
            os.kill(pid, signal.SIGHUP)

    Multiprocess.handle_hup = handle_hup  # type: ignore[method-assign]


def _terminal() -> Callable[[], bool]:
    """Returns a function that tells whether the terminal that the process has now, if any, has been closed since."""
    had_terminal = _has_terminal()
    return lambda: had_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        termios.tcgetattr(0)
    except (OSError, termios.error):
        return False
    return True
