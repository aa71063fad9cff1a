"""Our provider modules: each has `mount(coordinator, config)`, as amplifier-core asks of a module."""

import gc
from collections.abc import Iterable
from importlib import import_module

_warm: set[str] = set()


def warm(names: Iterable[str] = ("openai", "anthropic")) -> None:
    """Imports the SDKs of these providers: best in a thread, at the start.

    They make 200,000 objects that live as long as the process, and to look through them takes the garbage collector
    0.1 to 0.3 s each time, in which nothing else runs: so it leaves them alone from here on.
    """
    if cold := set(names) - _warm:
        for name in cold:
            import_module(f"amplifier.runtime.modules.providers.{name}").warm()
        _warm.update(cold)
        gc.collect()
        gc.freeze()
