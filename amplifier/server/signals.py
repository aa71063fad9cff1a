"""What a serving process does with the death of its parent, and with SIGHUP."""

import multiprocessing
import os
import signal
import termios
import threading
from collections.abc import Callable


def end_with_parent() -> None:
    """One of several workers stops when the process that started it is killed: it would keep the port for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()


def reload_on_hangup(reload: Callable[[], None]) -> None:
    """SIGHUP calls `reload`; when the terminal is gone that the process was started in, it ends the process."""
    is_hung_up = _terminal()

    def handle(*_: object) -> None:
        if is_hung_up():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reload()

    signal.signal(signal.SIGHUP, handle)


def forward_hangups() -> None:
    """Has the process that watches over several workers pass SIGHUP on to one, which asks the others."""
    from uvicorn.supervisors import Multiprocess

    is_hung_up = _terminal()

    def handle_hup(self: Multiprocess) -> None:
        if is_hung_up():
            self.handle_term()
        elif (pid := self.processes[0].pid) is not None:
            os.kill(pid, signal.SIGHUP)

    Multiprocess.handle_hup = handle_hup  # type: ignore[method-assign]


def _terminal() -> Callable[[], bool]:
    """Says later whether there was a terminal now, and is none any more."""
    had_terminal = _has_terminal()
    return lambda: had_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        termios.tcgetattr(0)
    except (OSError, termios.error):
        return False
    return True
