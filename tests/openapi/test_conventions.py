"""The OpenAPI document has one form for lists, one name for each thing, and marks what is deprecated."""

import json
from typing import Any

import pytest

from amplifier.openapi import document

DOCUMENT = json.loads(document.file().read_text())
OPERATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    operation["operationId"]: (method, operation)
    for item in DOCUMENT["paths"].values()
    for method, operation in item.items()
}
LISTS = sorted({name for name in OPERATIONS if name.startswith("list_")} | {"search", "search_session", "get_presence"})
# lists that existing clients know by another member than `items`; None for a bare array
NAMED = {"list_applications": None, "list_configs": "configs", "list_sessions": "sessions"}
TIMES = {"created_after", "created_before", "updated_after", "updated_before", "as_of"}


def parameters(name: str) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in OPERATIONS[name][1].get("parameters", []) if one["in"] == "query"}


def answer(name: str) -> dict[str, Any]:
    """The schema of an operation's answer, without references."""
    schema = OPERATIONS[name][1]["responses"]["200"]["content"]["application/json"]["schema"]
    return dict(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema)


@pytest.mark.parametrize("name", LISTS)
def test_list_has_limit_cursor_and_next(name: str) -> None:
    taken = parameters(name)
    assert taken["limit"]["schema"]["type"] == "integer"
    assert (taken["cursor"]["schema"]["type"], taken["cursor"].get("deprecated")) == ("string", None)
    assert "Link" in OPERATIONS[name][1]["responses"]["200"]["headers"]
    member, schema = NAMED.get(name, "items"), answer(name)
    if member is None:
        assert schema["type"] == "array"
    else:
        assert schema["properties"][member]["type"] == "array"
        assert schema["properties"]["next"]["type"] == ["string", "null"]


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - set(LISTS)))
def test_other_operations_are_no_lists(name: str) -> None:
    assert "cursor" not in parameters(name)
    if OPERATIONS[name][0] == "get" and "application/json" in OPERATIONS[name][1]["responses"]["200"]["content"]:
        schema = OPERATIONS[name][1]["responses"]["200"]["content"]["application/json"]["schema"]
        assert "oneOf" in schema or "items" not in answer(name).get("properties", {})


@pytest.mark.parametrize("name", OPERATIONS)
def test_times_have_one_name_and_former_names_are_deprecated(name: str) -> None:
    taken = parameters(name)
    assert {key for key, one in taken.items() if one["schema"].get("format") == "date-time"} <= TIMES
    assert not {"since", "until"} & taken.keys()
    for former in ("after", "offset"):
        if former in taken and "cursor" in taken:
            assert taken[former]["deprecated"] is True
