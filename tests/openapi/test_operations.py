"""Operations and schemas: incomplete handlers and ambiguous structs are refused."""

import msgspec
import pytest

from amplifier.api.presence import Presence
from amplifier.openapi.operations import Operation
from amplifier.openapi.problems import Problems
from amplifier.openapi.schemas import components, reference
from amplifier.web.routing import get


def test_incomplete_handler_is_refused() -> None:
    @get("/things", operation_id="get_things", summary="Things", tags=["service"], errors=(418,))
    async def get_things() -> Presence:
        """All."""
        return Presence("", [], None)

    generated = {"summary": "Things", "description": "All.", "tags": ["service"], "responses": {}}
    with pytest.raises(ValueError, match=r"get_things: the handler has no description"):
        Operation(get_things, {}, Problems({})).described("/things", {**generated, "description": None})
    with pytest.raises(ValueError, match=r"get_things: .*texts.py does not know the tags \['things'\]"):
        Operation(get_things, {}, Problems({})).described("/things", {**generated, "tags": ["things"]})
    with pytest.raises(ValueError, match=r"get_things: .*texts.py does not know the statuses \[418\]"):
        Operation(get_things, {}, Problems({})).described("/things", generated)
    with pytest.raises(ValueError, match="neither a struct nor a list of structs"):
        reference(dict[str, str])


def test_structs_of_same_name_are_refused() -> None:
    other = msgspec.defstruct("Presence", [("seq", int)])
    with pytest.raises(ValueError, match="structs of one name: Presence"):
        components([], [Presence, other])
