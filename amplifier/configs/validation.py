"""Validates configs before they are stored: the sections of the bundle, and the bounds of values."""

from typing import Any, TypeAlias

import msgspec

from amplifier.errors import Problem

MAX_BYTES = 1024 * 1024  # of a config as it is stored, secrets encrypted
MAX_VALUES, MAX_LEVELS = 20_000, 64
WHOLE = "config_data."  # the place of a whole config in a body
_LONGEST = 100_000  # characters of a text; instructions are the longest texts
_LONGEST_KEY, _LONGEST_PLACE = 1_000, 500
_NAMES = ("bundle", "default_model", "default_provider", "instance_id", "model", "module")
_LONGEST_NAME, _LONGEST_BUNDLE_NAME, _LONGEST_ADDRESS = 200, 255, 2_000
_ADDRESSES = ("url", "uri", "endpoint", "host")  # suffixes of keys

_Place: TypeAlias = "tuple[_Place, str | int] | None"  # the key of a value, after that of what it is in


def validate(config: dict[str, Any]) -> None:
    """Checks the sections of a whole config. Raises Problem 400, or 422 for a bundle's name that is too long."""
    if "bundle" not in config:
        raise _invalid("Missing required section: 'bundle'", f"{WHOLE}bundle")
    bundle = config["bundle"]
    if not isinstance(bundle, dict):
        raise _invalid(f"Section 'bundle' must be a dict, got {type(bundle).__name__}", f"{WHOLE}bundle")
    place = f"{WHOLE}bundle.name"
    if "name" not in bundle:
        raise _invalid("Missing required field: 'bundle.name'", place)
    if not isinstance(bundle["name"], str) or not bundle["name"].strip():
        raise _invalid("bundle.name must be a non-empty string", place)
    if len(bundle["name"]) > _LONGEST_BUNDLE_NAME:
        raise _misfit(f"bundle.name must have at most {_LONGEST_BUNDLE_NAME} characters", place)
    validate_sections(config, WHOLE)


def validate_sections(config: dict[str, Any], where: str = "") -> None:
    """Checks the sections that `config` has, which may be a part of a config.

    Raises Problem 400 with the place in the body, which begins with `where`.
    """
    for section, field in (("includes", "bundle"), ("providers", "module"), ("tools", "module"), ("hooks", "module")):
        if section in config:
            _validate_list(section, config[section], field, where)
    if "spawn" in config:
        _validate_spawn(config["spawn"], f"{where}spawn")


def check_bounds(config: dict[str, Any], where: str = WHOLE) -> None:
    """Checks the number of values, their depth and the length of texts. Raises Problem 422 that names the bound and
    the place, which begins with `where`.

    Stops at the first bound that is exceeded, so that its time is limited for a config of any size.
    """
    count, levels = 0, 0
    level: list[tuple[Any, _Place]] = [(config, None)]
    while level:
        deeper: list[tuple[Any, _Place]] = []
        for value, place in level:
            count += len(value)
            if count > MAX_VALUES:
                raise Problem(422, f"config_data must not have more than {MAX_VALUES} values")
            deeper += _children(value, place, where)
        level, levels = deeper, levels + 1
        if levels == MAX_LEVELS and level:
            raise _misfit(f"config_data must not be nested deeper than {MAX_LEVELS} levels", _named(level[0][1], where))


def check_size(text: bytes | msgspec.Raw) -> None:
    """Checks the size of a config as it is stored. Raises Problem 422."""
    if len(memoryview(text)) > MAX_BYTES:
        raise Problem(422, f"config_data must not be larger than {MAX_BYTES} bytes, its secrets encrypted")


def _validate_list(section: str, items: Any, field: str, where: str) -> None:
    if not isinstance(items, list):
        raise _invalid(f"{section} must be a list", f"{where}{section}")
    for index, item in enumerate(items):
        place = f"{where}{section}[{index}]"
        if not isinstance(item, dict):
            raise _invalid(f"{section}[{index}] must be a dict", place)
        if field not in item:
            raise _invalid(f"{section}[{index}] missing '{field}' field", f"{place}.{field}")


def _children(value: Any, place: _Place, where: str) -> list[tuple[Any, _Place]]:
    """Returns the objects and lists in an object or a list with their places, after a check of its keys and texts."""
    pairs = list(enumerate(value) if isinstance(value, list) else value.items())
    for key, item in pairs:
        if isinstance(key, str) and len(key) > _LONGEST_KEY:
            raise _misfit(f"config_data: a key must have at most {_LONGEST_KEY} characters", _named(place, where))
        fault = _fault("" if isinstance(key, int) else key, item)
        if fault:
            raise _misfit(fault, _named((place, key), where))
    return [(item, (place, key)) for key, item in pairs if isinstance(item, dict | list)]


def _fault(key: str, value: Any) -> str | None:
    """Returns what is wrong with the length of a text, or None."""
    if not isinstance(value, str):
        return None
    most = _LONGEST
    if key in _NAMES:
        most = _LONGEST_NAME
    elif key.lower().endswith(_ADDRESSES):
        most = _LONGEST_ADDRESS
    if len(value) <= most:
        return None
    return f"config_data: {key or 'a text in a list'} must have at most {most} characters"


def _validate_spawn(spawn: Any, place: str) -> None:
    if not isinstance(spawn, dict):
        raise _invalid("spawn must be a dict", place)
    if "exclude_tools" in spawn and "tools" in spawn:
        raise _invalid("spawn cannot have both 'exclude_tools' and 'tools' - use one or the other", place)
    for key in ("exclude_tools", "tools"):
        if key in spawn and not isinstance(spawn[key], list):
            raise _invalid(f"spawn.{key} must be a list", f"{place}.{key}")


def _named(place: _Place, where: str) -> str:
    """Returns a place as `config_data.providers[0].module`."""
    parts: list[str] = []
    while place is not None:
        place, key = place
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return f"{where}{''.join(reversed(parts)).removeprefix('.')}".removesuffix(".")[:_LONGEST_PLACE]


def _invalid(detail: str, place: str) -> Problem:
    return Problem(400, detail, errors=[{"field": place, "detail": detail}])


def _misfit(detail: str, place: str) -> Problem:
    return Problem(422, detail, errors=[{"field": place, "detail": detail.removeprefix("config_data: ")}])
