"""The provider modules of the service. Each has `mount(coordinator, config)`, which amplifier-core calls."""

import gc
from collections.abc import Iterable
from importlib import import_module

_warm: set[str] = set()


def warm(names: Iterable[str] = ("openai", "anthropic")) -> None:
    """Imports the SDKs of these providers. Call it in a thread when the process starts.

    The imports create 200,000 objects that live as long as the process. Each full garbage collection would traverse
    them for 0.1 to 0.3 s and stop everything else, so they are excluded from collection.
    """
    if cold := set(names) - _warm:
        for name in cold:
            import_module(f"amplifier.runtime.modules.providers.{name}").warm()
        _warm.update(cold)
        gc.collect()
        gc.freeze()
