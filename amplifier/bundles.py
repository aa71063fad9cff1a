"""What a config must look like before it is stored: the sections of its bundle."""

from typing import Any

from amplifier.problems import Problem


def validate(config: dict[str, Any]) -> None:
    """Checks the shape of a whole config. Raises Problem 400 with the detail that clients know."""
    if "bundle" not in config:
        raise _invalid("Missing required section: 'bundle'")
    bundle = config["bundle"]
    if not isinstance(bundle, dict):
        raise _invalid(f"Section 'bundle' must be a dict, got {type(bundle).__name__}")
    if "name" not in bundle:
        raise _invalid("Missing required field: 'bundle.name'")
    if not isinstance(bundle["name"], str) or not bundle["name"].strip():
        raise _invalid("bundle.name must be a non-empty string")
    validate_sections(config)


def validate_sections(config: dict[str, Any]) -> None:
    """Checks the sections that are there. Raises Problem 400."""
    for section, field in (("includes", "bundle"), ("providers", "module"), ("tools", "module"), ("hooks", "module")):
        if section in config:
            _validate_list(section, config[section], field)
    if "spawn" in config:
        _validate_spawn(config["spawn"])


def _validate_list(section: str, items: Any, field: str) -> None:
    if not isinstance(items, list):
        raise _invalid(f"{section} must be a list")
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise _invalid(f"{section}[{index}] must be a dict")
        if field not in item:
            raise _invalid(f"{section}[{index}] missing '{field}' field")


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
