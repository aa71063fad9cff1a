"""JSON split into its values, whatever the pieces in which it is read."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.imports import values

TEXTS = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab"\\[]{},: \n\u00e9'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='"\\]}a'), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(TEXTS, max_size=6), st.integers(1, 9), st.booleans(), st.sampled_from([None, 1]))
def test_objects_and_arrays_come_back(items: list[object], piece: int, is_array: bool, indent: int | None) -> None:
    texts = [json.dumps(item, indent=indent, ensure_ascii=False) for item in items if isinstance(item, list | dict)]
    if not is_array and texts and texts[0].startswith("["):
        return  # an array that is the whole file
    text = "[" + " ,\n".join(texts) + "]" if is_array else "\n".join(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "_PIECE", piece)
        found = list(values.of(io.BytesIO(text.encode()), 10_000))
    assert [value.text for value in found] == [text.encode() for text in texts]


def test_value_over_the_bound_is_not_kept() -> None:
    text = b'[{"a":"' + b"x" * 100 + b'"},{"b":1}]'
    assert [(value.text, value.size) for value in values.of(io.BytesIO(text), 50)] == [(None, 108), (b'{"b":1}', 7)]


@pytest.mark.parametrize("text", [b"", b"]]}}", b'"[', b"[[[[", b"[" * 10_000_000, b'{"a":"\\', b"\xff\xfe["])
def test_what_is_no_json_ends(text: bytes) -> None:
    assert all(value.text is None for value in values.of(io.BytesIO(text), 1000))
