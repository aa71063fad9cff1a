"""The document explains itself: every member has a description, operations have an order, streams say what they are."""

import itertools
from typing import Any

import pytest

from amplifier.openapi import document, texts
from amplifier.openapi.descriptions import described
from amplifier.openapi.descriptions import texts as descriptions
from tests.openapi.test_document import DOCUMENT, OPERATIONS, SCHEMAS

TOUR = ["service", "configs", "sessions", "transcripts", "search", "agent", "events", "participants"]
STREAMS = ("stream_message", "follow_session", "follow_sessions", "follow_import")
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
    assert [key for key, text in descriptions().items() if not text.endswith(".")] == []


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


def test_operations_are_in_order_of_tour() -> None:
    tags = [operation["tags"][0] for *_, operation in OPERATIONS.values()]
    together = [tag for tag, _ in itertools.groupby(tags)]
    assert [tag["name"] for tag in DOCUMENT["tags"]] == together
    assert together[: len(TOUR)] == TOUR
    first = {tag: name for name, (*_, operation) in reversed(OPERATIONS.items()) for tag in operation["tags"]}
    assert (first["transcripts"], first["agent"]) == ("get_transcript", "send_message")
    assert (first["events"], first["participants"]) == ("follow_session", "list_participants")
    assert set(texts.FIRST_PATHS) <= DOCUMENT["paths"].keys()


def test_streams_say_how_to_read_them() -> None:
    for name in STREAMS:
        _, path, operation = OPERATIONS[name]
        assert f"`curl -N 'http://127.0.0.1:8765{path}'" in operation["description"]
    assert sum("curl" in operation["description"] for *_, operation in OPERATIONS.values()) == 4


def test_python_client_leaves_out_streams() -> None:
    files = sorted(f"api/{OPERATIONS[name][2]['tags'][0]}/{name}.py" for name in STREAMS)
    assert f"  - rm {' '.join(files)}\n" in document.file().with_name("python-client.yaml").read_text()
