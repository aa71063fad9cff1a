"""Makes the mount plan of a session from a stored config, which is untrusted input.

References to secrets are expanded by `secret_references.py`; the modules are loaded by `module_loader.py`.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from amplifier.configs.encryption import names_secret
from amplifier.runtime.secret_references import ReferenceRefused, Secret, expand

Path: TypeAlias = tuple[str | int, ...]

_DEFAULTS = {"orchestrator": "loop-streaming", "context": "context-simple"}
_SOURCES = ("source", "orchestrator_source", "context_source")
_MOST = 20  # entries of a kind
_DEEPEST, _MOST_VALUES = 50, 20_000
_LONGEST_PATH, _LONGEST_KEY = 200, 60  # characters that a message shows
_MOST_SECRETS = 100  # every text that a run shows is searched for each of them
# the values of these headers are common words and not secrets; all other default_headers are secrets
_HEADERS, _PUBLIC_HEADERS = (
    "default_headers",
    frozenset(
        (
            "accept",
            "anthropic-beta",
            "anthropic-version",
            "content-type",
            "http-referer",
            "openai-beta",
            "user-agent",
            "x-title",
        )
    ),
)
_SCHEMES = ("bearer ", "basic ", "token ")  # of an Authorization header
_ADDRESS_KEY = re.compile(r"(url|uri|endpoint|host|address|base|proxy|proxie|origin|server)(e?s)?$")
_ADDRESS = re.compile(r"://|^\s*(//|\\\\|[a-z][a-z0-9+.-]*:[/\\])", re.IGNORECASE)
_ORIGIN = re.compile(
    r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:/[!-\"$-?A-\[\]-~]*)?", re.IGNORECASE | re.ASCII
)
_PORTS = {"http": 80, "https": 443}


class PlanRefused(Exception):
    """The config cannot be run; the message tells its author where and why."""


class Plan(NamedTuple):
    """A mount plan: `mount` is the argument of AmplifierSession; `secrets` are its texts that must not be shown."""

    mount: dict[str, Any]
    secrets: frozenset[str]


def mount_plan(config: dict[str, Any], secret: Secret, origins: frozenset[str]) -> Plan:
    """Returns the mount plan of a stored config, which is not changed. Raises PlanRefused.

    The plan contains modules and their configs only. A `source` and bundles to include are refused. References to
    secrets are expanded by `secret`. Addresses in the config of a provider, or of a module with a secret of the
    operator, must be of `origins`.
    """
    builder = _PlanBuilder(secret, frozenset(origin for origin in map(origin_of, origins) if origin))
    if _get(config, "includes", (), list):
        raise PlanRefused("includes: bundles are not resolved here. Name their modules in this config")
    session = _get(config, "session", (), dict)
    for key in _SOURCES:
        if session.get(key):
            raise _source_refused(("session", key))
    mount: dict[str, Any] = {"session": {kind: builder.single(kind, session, config) for kind in _DEFAULTS}}
    for kind in ("providers", "tools", "hooks"):
        mount[kind] = builder.entries(kind, _get(config, kind, (), list))
    if not mount["providers"]:
        raise PlanRefused("providers: there are none. A session needs one to answer it")
    _refuse_twins(mount["providers"])
    return Plan(mount, frozenset(builder.secrets))


def origin_of(address: str) -> tuple[str, str, int] | None:
    """Returns scheme, host and port of an http(s) address, or None for a spelling that parsers may read differently."""
    match = _ORIGIN.fullmatch(address)
    if match is None:
        return None
    scheme, host, port = match.group(1).lower(), match.group(2).lower(), match.group(3)
    return scheme, host, int(port) if port else _PORTS[scheme]


class _PlanBuilder:
    def __init__(self, secret: Secret, origins: frozenset[tuple[str, str, int]]) -> None:
        self._secret, self._origins = secret, origins
        self.secrets: set[str] = set()
        self._seen = 0

    def single(self, kind: str, session: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
        """Returns the orchestrator or the context manager.

        `session` holds it as an object, or as a name whose config is in a section of the same kind in `config`.
        """
        given = session.get(kind)
        if given is None or given == "":
            given = _DEFAULTS[kind]
        if isinstance(given, str):
            # `context` is also the section of a bundle that names files; they are not read
            beside = config.get(kind)
            extra = beside.get("config") if isinstance(beside, dict) else None
            given = {"module": given, "config": extra if extra is not None else {}}
        return self._entry(given, ("session", kind))

    def entries(self, kind: str, given: list[Any]) -> list[dict[str, Any]]:
        if len(given) > _MOST:
            raise PlanRefused(f"{kind}: {len(given)} entries, at most {_MOST} are allowed")
        return [self._entry(entry, (kind, index)) for index, entry in enumerate(given)]

    def _entry(self, entry: Any, path: Path) -> dict[str, Any]:
        if not isinstance(entry, dict):
            raise PlanRefused(f"{_shown(path)}: must be an object")
        self._refuse_sources(entry, path)
        module, instance = entry.get("module"), entry.get("instance_id")
        if not isinstance(module, str) or not module:
            raise PlanRefused(f"{_shown(path)}.module: must be the name of a module")
        made: dict[str, Any] = {"module": module}
        if instance is not None:
            if not isinstance(instance, str) or not re.fullmatch(r"[\w.-]{1,100}", instance, re.ASCII):
                raise PlanRefused(f"{_shown(path)}.instance_id: must be of at most 100 letters, digits, '.', '_', '-'")
            made["instance_id"] = instance
        values: list[str] = []
        given, inside = _get(entry, "config", path, dict), (*path, "config")
        made["config"] = _walk(given, inside, names_secret, lambda *place: self._text(values, *place))
        if values or path[0] == "providers":
            _walk(made["config"], inside, _names_address, self._address)
        self._keep(values)
        return made

    def _refuse_sources(self, value: Any, path: Path) -> None:
        """Refuses a `source` that is not empty anywhere in the entry, and an entry that is too deep or too large."""
        self._seen += 1
        if len(path) > _DEEPEST or self._seen > _MOST_VALUES:
            raise PlanRefused(f"{_shown(path)}: more than {_DEEPEST} levels or {_MOST_VALUES} values")
        if isinstance(value, dict):
            for key, item in value.items():
                if key in _SOURCES and item:
                    raise _source_refused((*path, key))
                self._refuse_sources(item, (*path, key))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._refuse_sources(item, (*path, index))

    def _text(self, values: list[str], value: Any, path: Path, hidden: bool) -> Any:
        if not isinstance(value, str):
            if hidden and isinstance(value, int | float) and not isinstance(value, bool):
                self._keep([str(value)])
            return value
        try:
            text, found = expand(value, self._secret, hidden)
        except ReferenceRefused as error:
            raise PlanRefused(f"{_shown(path)}: {error}") from None
        values += found
        if hidden and text and not _is_public(path):
            self._keep([text, *(text[len(one) :] for one in _SCHEMES if text.lower().startswith(one))])
        return text

    def _keep(self, secrets: list[str]) -> None:
        self.secrets.update(filter(None, secrets))
        if len(self.secrets) > _MOST_SECRETS:
            raise PlanRefused(f"more than {_MOST_SECRETS} texts stand under keys that name secrets")

    def _address(self, value: Any, path: Path, named: bool) -> Any:
        if isinstance(value, str):
            suspect = bool(value) if named else _ADDRESS.search(value) is not None
            allowed = not suspect or origin_of(value) in self._origins
        else:
            allowed = not named or value is None or isinstance(value, bool)
        if not allowed:
            advice = "this address is not allowed. The operator allows some in RUNTIME_BASE_URLS"
            raise PlanRefused(f"{_shown(path)}: {advice}")
        return value


def _walk(
    value: Any, path: Path, names: Callable[[str], bool], change: Callable[[Any, Path, bool], Any], named: bool = False
) -> Any:
    """Returns a copy of `value` in which `change` has replaced every scalar. Keys stay unchanged.

    `change` gets the scalar, its path, and whether `names` is true for a key above it.
    """
    if isinstance(value, dict):
        return {key: _walk(item, (*path, key), names, change, named or names(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*path, index), names, change, named) for index, item in enumerate(value)]
    return change(value, path, named)


def _is_public(path: Path) -> bool:
    return path[-2:-1] == (_HEADERS,) and str(path[-1]).lower() in _PUBLIC_HEADERS


def _source_refused(path: Path) -> PlanRefused:
    return PlanRefused(f"{_shown(path)}: code is not loaded from configs. Name an allowed module instead")


def _shown(path: Path) -> str:
    """Returns the path as text, for example `providers[0].config.model`, cut to a readable length."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part[:_LONGEST_KEY]}" for part in path)
    return "".join(parts).lstrip(".")[:_LONGEST_PATH]


def _refuse_twins(providers: list[dict[str, Any]]) -> None:
    seen: set[str] = set()
    for index, provider in enumerate(providers):
        name = provider.get("instance_id") or provider["module"].removeprefix("provider-")
        if name in seen:
            raise PlanRefused(f"providers[{index}].instance_id: must differ from those before")
        seen.add(name)


def _get(given: dict[str, Any], key: str, path: Path, kind: type) -> Any:
    """Returns the value of a key, or an empty one of the kind if it is missing. Raises PlanRefused for another kind."""
    value = given.get(key)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise PlanRefused(f"{_shown((*path, key))}: must be {'an object' if kind is dict else 'a list'}")
    return value


def _names_address(key: str) -> bool:
    return _ADDRESS_KEY.search(re.sub(r"[^a-z0-9]", "", key.lower())) is not None
