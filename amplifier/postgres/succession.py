"""Takes over what another process runs, such as the embedded PostgreSQL, when that process ends."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

logger = logging.getLogger(__name__)

_PAUSE = 0.1  # seconds between two looks whether the other process has ended


@contextlib.contextmanager
def succeeding(is_free: Callable[[], bool], serving: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Runs the server as soon as the process that runs it has ended, until the context is left."""
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
        except Exception as error:  # whatever it was: nobody waits for this thread
            logger.error("the embedded PostgreSQL is not run any more: %s", error)

    successor = threading.Thread(target=succeed_or_say, daemon=True)
    successor.start()
    try:
        yield
    finally:
        over.set()
        successor.join()
