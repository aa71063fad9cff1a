"""Every member of every schema has a description, from one table whose entries are all used."""

from typing import Any

import pytest

from amplifier.openapi.descriptions import described, texts
from tests.openapi.test_document import DOCUMENT, SCHEMAS

USER = {"type": "object", "properties": {"user_id": {"type": "string"}, "name": {"$ref": "#/components/schemas/Name"}}}
KEY = {"type": "object", "properties": {"name": {"type": "string"}}}


def test_name_means_the_same_except_where_schema_says_otherwise() -> None:
    found = described(
        {"User": USER, "Key": KEY, "Name": {"type": "string"}},
        {"user_id": "The user's id.", "name": "The name.", "Key.name": "The key's name."},
    )
    assert found["User"]["properties"] == {
        "user_id": {"description": "The user's id.", "type": "string"},
        "name": {"description": "The name.", "$ref": "#/components/schemas/Name"},
    }
    assert found["Key"]["properties"] == {"name": {"description": "The key's name.", "type": "string"}}
    assert found["Name"] == {"type": "string"}


def test_member_without_description_is_named() -> None:
    with pytest.raises(ValueError, match=r"^openapi/fields.toml does not describe Key.name, User.name: say there what"):
        described({"User": USER, "Key": KEY}, {"user_id": "The user's id."})


@pytest.mark.parametrize("extra", ["nmae", "User.nmae"])
def test_description_without_member_is_named(extra: str) -> None:
    with pytest.raises(ValueError, match=rf"^openapi/fields.toml describes what no schema has: {extra}$"):
        described({"User": USER}, {"user_id": "The user's id.", "name": "The name.", extra: "Nothing."})


def test_every_member_and_parameter_is_described_in_sentences() -> None:
    shown: dict[str, Any] = {
        f"{schema}.{name}": member
        for schema, rest in SCHEMAS.items()
        for name, member in rest.get("properties", {}).items()
    }
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            shown |= {f"{method} {path} {one['name']}": one for one in operation.get("parameters", ())}
    assert [place for place, one in shown.items() if not one.get("description")] == []
    assert [key for key, text in texts().items() if not text.endswith(".")] == []


def test_counts_and_units_are_explained() -> None:
    for place, words in {
        "SessionSummary.message_count": "messages of role `user`",
        "SessionSummary.unread": "100 means 100 or more",
        "Run.timing": "Seconds",
        "Health.uptime": "Seconds",
        "Hint.last_seq": "null if",
        "Problem.next": "null: these are all",
    }.items():
        schema, name = place.split(".")
        assert words in SCHEMAS[schema]["properties"][name]["description"], place
