"""Takes over a server that another process runs, such as the embedded PostgreSQL, when that process ends."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

logger = logging.getLogger(__name__)

_PAUSE = 0.1  # seconds between two checks whether the other process has ended


@contextlib.contextmanager
def succeeding(is_free: Callable[[], bool], serving: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Waits in a thread until `is_free` returns true, then holds `serving` until the context is left.

    `is_free` returns whether the process that runs the server has ended. Failures are logged.
    """
    over = threading.Event()

    def succeed() -> None:
        while not over.wait(_PAUSE):
            if is_free():
                logger.warning("the process that ran the embedded PostgreSQL has ended: this one runs it from now on")
                with serving():
                    over.wait()  # in this thread: Linux ends the server when the thread that started it ends
                return

    def succeed_or_say() -> None:
        try:
            succeed()
        except Exception as error:  # no caller would see it: nothing waits for this thread
            logger.error("the embedded PostgreSQL could not be started again: %s", error)

    successor = threading.Thread(target=succeed_or_say, daemon=True)
    successor.start()
    try:
        yield
    finally:
        over.set()
        successor.join()
