"""Validates configs before they are stored: the sections of the bundle, and the bounds of values."""

from typing import Any

import msgspec

from amplifier.errors import Problem

MAX_BYTES = 1024 * 1024  # of a config as it is stored, secrets encrypted
MAX_VALUES, MAX_LEVELS = 20_000, 64
_LONGEST = 100_000  # characters of a text; instructions are the longest texts
_LONGEST_KEY = 1_000
_NAMES = ("bundle", "default_model", "default_provider", "instance_id", "model", "module")
_LONGEST_NAME, _LONGEST_BUNDLE_NAME, _LONGEST_ADDRESS = 200, 255, 2_000
_ADDRESSES = ("url", "uri", "endpoint", "host")  # suffixes of keys


def validate(config: dict[str, Any]) -> None:
    """Checks the sections of a whole config. Raises Problem 400, or 422 for a bundle's name that is too long."""
    if "bundle" not in config:
        raise _invalid("Missing required section: 'bundle'")
    bundle = config["bundle"]
    if not isinstance(bundle, dict):
        raise _invalid(f"Section 'bundle' must be a dict, got {type(bundle).__name__}")
    if "name" not in bundle:
        raise _invalid("Missing required field: 'bundle.name'")
    if not isinstance(bundle["name"], str) or not bundle["name"].strip():
        raise _invalid("bundle.name must be a non-empty string")
    if len(bundle["name"]) > _LONGEST_BUNDLE_NAME:
        raise Problem(422, f"bundle.name must have at most {_LONGEST_BUNDLE_NAME} characters")
    validate_sections(config)


def validate_sections(config: dict[str, Any]) -> None:
    """Checks the sections that `config` has, which may be a part of a config. Raises Problem 400."""
    for section, field in (("includes", "bundle"), ("providers", "module"), ("tools", "module"), ("hooks", "module")):
        if section in config:
            _validate_list(section, config[section], field)
    if "spawn" in config:
        _validate_spawn(config["spawn"])


def check_bounds(config: dict[str, Any]) -> None:
    """Checks the number of values, their depth and the length of texts. Raises Problem 422 that names the bound.

    Stops at the first bound that is exceeded, so that its time is limited for a config of any size.
    """
    count, levels = 0, 0
    level: list[Any] = [config]
    while level:
        deeper: list[Any] = []
        for value in level:
            count += len(value)
            if count > MAX_VALUES:
                raise Problem(422, f"config_data must not have more than {MAX_VALUES} values")
            deeper += _children(value)
        level, levels = deeper, levels + 1
        if levels == MAX_LEVELS and level:
            raise Problem(422, f"config_data must not be nested deeper than {MAX_LEVELS} levels")


def check_size(text: bytes | msgspec.Raw) -> None:
    """Checks the size of a config as it is stored. Raises Problem 422."""
    if len(memoryview(text)) > MAX_BYTES:
        raise Problem(422, f"config_data must not be larger than {MAX_BYTES} bytes, its secrets encrypted")


def _validate_list(section: str, items: Any, field: str) -> None:
    if not isinstance(items, list):
        raise _invalid(f"{section} must be a list")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise _invalid(f"{section}[{index}] must be a dict")
        if field not in item:
            raise _invalid(f"{section}[{index}] missing '{field}' field")


def _children(value: Any) -> list[Any]:
    """Returns the objects and lists in an object or a list, after a check of its keys and texts."""
    if isinstance(value, list):
        for item in value:
            _check_text("", item)
        return [item for item in value if isinstance(item, dict | list)]
    for key, item in value.items():
        if len(key) > _LONGEST_KEY:
            raise Problem(422, f"config_data: a key must have at most {_LONGEST_KEY} characters")
        _check_text(key, item)
    return [item for item in value.values() if isinstance(item, dict | list)]


def _check_text(key: str, value: Any) -> None:
    if not isinstance(value, str):
        return
    most = _LONGEST
    if key in _NAMES:
        most = _LONGEST_NAME
    elif key.lower().endswith(_ADDRESSES):
        most = _LONGEST_ADDRESS
    if len(value) > most:
        raise Problem(422, f"config_data: {key or 'a text in a list'} must have at most {most} characters")


def _validate_spawn(spawn: Any) -> None:
    if not isinstance(spawn, dict):
        raise _invalid("spawn must be a dict")
    if "exclude_tools" in spawn and "tools" in spawn:
        raise _invalid("spawn cannot have both 'exclude_tools' and 'tools' - use one or the other")
    for key in ("exclude_tools", "tools"):
        if key in spawn and not isinstance(spawn[key], list):
            raise _invalid(f"spawn.{key} must be a list")


def _invalid(detail: str) -> Problem:
    return Problem(400, detail)
