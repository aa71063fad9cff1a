"""Loads the modules of a session by name, if the operator allows them.

Which modules a session mounts, and with which config, is decided in `mount_plan.py`.
"""

import asyncio
import functools
import importlib
import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple, TypeAlias

from amplifier.masking import redact
from amplifier.telemetry.log_exceptions import described

logger = logging.getLogger(__name__)

Ready: TypeAlias = Callable[[Any], Awaitable[Any]]

GROUP = "amplifier.modules"
OURS = {
    "context-simple": "amplifier.runtime.modules.context",
    "loop-basic": "amplifier.runtime.modules.orchestrator",
    "loop-streaming": "amplifier.runtime.modules.orchestrator",
    "provider-openai": "amplifier.runtime.modules.providers.openai",
    "provider-anthropic": "amplifier.runtime.modules.providers.anthropic",
    "provider-echo": "amplifier.runtime.modules.providers.echo",
}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}", re.ASCII)
_LOAD_FAILURE = "provider.load_failure"  # amplifier-core calls this capability when a provider is not mounted


class ModuleRefused(Exception):
    """The module is not loaded; the message says what to do."""


class ModuleFailed(Exception):
    """The module raised while it was loaded or mounted; the message shows no secret."""


class _Module(NamedTuple):
    mount: Callable[[Any, dict[str, Any]], Awaitable[Any]]
    ready: Ready | None


class Loader:
    """The module loader of one session, with the methods that amplifier-core calls.

    amplifier-core continues without a provider, tool or hook that fails to mount. `failures` holds all failures as
    (name, exception), with `secrets` masked.
    """

    def __init__(self, allowed: frozenset[str], secrets: frozenset[str] = frozenset()) -> None:
        self._allowed, self._secrets = allowed, secrets
        self._ready: list[tuple[str, Ready]] = []
        self.failures: list[tuple[str, Exception]] = []

    async def load(
        self, module_id: str, config: dict[str, Any] | None = None, source_hint: Any = None, coordinator: Any = None
    ) -> Callable[[Any], Awaitable[Any]]:
        """Returns the function that mounts a module. Raises ModuleRefused, or ModuleFailed if the import fails."""
        self._watch(coordinator)
        module = await self._recording(module_id, self._find(module_id, source_hint))

        async def mount(coordinator: Any) -> Any:
            return await self._recording(module_id, _mounting(module, coordinator, config or {}))

        if module.ready is not None:
            mount.__on_session_ready__ = (module_id, module.ready)  # type: ignore[attr-defined]
        return mount

    def enqueue_on_session_ready(self, module_id: str, fn: Ready) -> None:
        """Queues `fn`, to be called when all modules are mounted."""

        async def ready(coordinator: Any) -> Any:
            return await self._recording(module_id, fn(coordinator))

        self._ready.append((module_id, ready))

    def get_on_session_ready_queue(self) -> list[tuple[str, Ready]]:
        """Returns the queued functions, in order."""
        return list(self._ready)

    def clear_on_session_ready_queue(self) -> None:
        """Empties the queue."""
        self._ready.clear()

    def cleanup(self) -> None:
        """Empties the queue at the end of the session. Modules stay imported."""
        self._ready.clear()

    async def _find(self, name: str, source: Any) -> _Module:
        if source:
            raise ModuleRefused(f"{_shown(name)}: code is not loaded from a source. Name an allowed module instead")
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name not in self._allowed:
            raise ModuleRefused(f"{_shown(name)} is not allowed: the operator allows modules in RUNTIME_MODULES")
        return _resolved[name] if name in _resolved else await asyncio.to_thread(_resolve, name)

    async def _recording(self, name: str, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except Exception as error:
            failure = self._failure(name, error)
            self.failures.append((name, failure))
        raise failure  # outside of the handler: a chained exception would be logged, with its secrets

    def _failure(self, name: str, error: Exception) -> Exception:
        if isinstance(error, ModuleRefused):
            return error
        fields = {"exception": redact(described(error), self._secrets)}
        logger.warning("module %s failed: %s", name, type(error).__name__, extra={"fields": fields})
        return ModuleFailed(redact(f"{name}: {type(error).__name__}: {error}", self._secrets))

    def _watch(self, coordinator: Any) -> None:
        """Records providers that return without mounting anything. Only amplifier-core notices these failures."""
        if coordinator is not None and coordinator.get_capability(_LOAD_FAILURE) is None:
            coordinator.register_capability(_LOAD_FAILURE, self._provider_failed)

    async def _provider_failed(self, coordinator: Any, entry: dict[str, Any], error: Exception) -> None:
        if all(error is not noted for _, noted in self.failures):
            self.failures.append((entry["module"], self._failure(entry["module"], error)))


def unknown(allowed: frozenset[str]) -> list[str]:
    """Returns the allowed names that no installed package provides or that no module can have."""
    return sorted(name for name in allowed if not _NAME.fullmatch(name) or name not in {**OURS, **_installed()})


def are_ours(mount: dict[str, Any]) -> bool:
    """Returns whether the service provides all modules of a mount plan that handle messages: all but the tools."""
    kinds = mount["session"].values(), mount["providers"], mount["hooks"]
    names = [entry["module"] for kind in kinds for entry in kind]
    return all(name in OURS and name not in _installed() for name in names)


def warm(allowed: frozenset[str]) -> list[tuple[str, Exception]]:
    """Imports all allowed modules, so that no session waits for an import. Returns the failures as (name, error)."""
    failures: list[tuple[str, Exception]] = []
    for name in sorted(allowed):
        try:
            _resolve(name)
        except Exception as error:
            failures.append((name, error))
    return failures


_resolved: dict[str, _Module] = {}


@functools.cache
def _installed() -> dict[str, EntryPoint]:
    """Returns the entry points of the group by name. If two have the same name, the first one counts, as in imports."""
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, entry)
    return found


def _resolve(name: str) -> _Module:
    if name not in _resolved:
        if name in _installed():
            loaded = _installed()[name].load()
        elif name in OURS:
            loaded = importlib.import_module(OURS[name])
        else:
            raise ModuleRefused(f"{_shown(name)} is allowed but not installed: install the package that has it")
        _resolved[name] = _as_module(name, loaded)
    return _resolved[name]


def _as_module(name: str, loaded: Any) -> _Module:
    """Returns the module that an entry point names: its mounting function, or a Python module with `mount`."""
    home = loaded if inspect.ismodule(loaded) else inspect.getmodule(loaded)
    mount = getattr(loaded, "mount", None) if inspect.ismodule(loaded) else loaded
    if not callable(mount):
        raise ModuleRefused(f"{_shown(name)} has no function `mount`: its package cannot be used here")
    ready = getattr(home, "on_session_ready", None)
    return _Module(mount, ready if inspect.iscoroutinefunction(ready) else None)


async def _mounting(module: _Module, coordinator: Any, config: dict[str, Any]) -> Any:
    return await module.mount(coordinator, config)


def _shown(name: Any) -> str:
    return f"The module {str(name)[:100]!r}"
