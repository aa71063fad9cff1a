"""Descriptions of the members of all schemas, from the file `openapi/fields.toml`."""

import tomllib
from functools import cache
from typing import Any

from amplifier import paths


@cache
def texts() -> dict[str, str]:
    """Returns the descriptions: by name, and by `Schema.name` for members that mean something else in a schema."""
    table = tomllib.loads((paths.folder("openapi") / "fields.toml").read_text())
    found: dict[str, str] = {}
    for name, text in table.items():
        found |= {name: text} if isinstance(text, str) else {f"{name}.{member}": one for member, one in text.items()}
    return found


def described(schemas: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """Returns the schemas with a description of each member.

    Raises ValueError for a member without a description and for a description without a member.
    """
    keys = {
        f"{schema}.{name}": next((key for key in (f"{schema}.{name}", name) if key in texts), "")
        for schema, rest in schemas.items()
        for name in rest.get("properties", ())
    }
    if missing := [member for member, key in keys.items() if not key]:
        raise ValueError(f"openapi/fields.toml does not describe {', '.join(sorted(missing))}: say there what it means")
    if unused := texts.keys() - keys.values():
        raise ValueError(f"openapi/fields.toml describes what no schema has: {', '.join(sorted(unused))}")

    def shown(schema: str, properties: dict[str, Any]) -> dict[str, Any]:
        return {name: {"description": texts[keys[f"{schema}.{name}"]], **rest} for name, rest in properties.items()}

    return {
        schema: {**rest, "properties": shown(schema, rest["properties"])} if "properties" in rest else rest
        for schema, rest in schemas.items()
    }
