"""The database function `merge_patch`: JSON merge patch as RFC 7396 defines it."""

import json
import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Sql = Callable[..., list[Any]]

# the test cases of RFC 7396, appendix A: a value, the patch, the result
APPENDIX = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


def merged(sql: Sql, target: Any, patch: Any) -> Any:
    [(result,)] = sql("select merge_patch(%s::jsonb, %s::jsonb)", json.dumps(target), json.dumps(patch))
    return result


def defined(target: Any, patch: Any) -> Any:
    """Returns what the pseudocode of RFC 7396, section 2, returns."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = defined(result.get(name), value)
    return result


def some_json(chance: random.Random, levels: int) -> Any:
    kind = chance.randrange(6 if levels else 3)
    if kind < 3:
        return (None, chance.randrange(3), "text")[kind]
    if kind == 3:
        return [some_json(chance, levels - 1) for _ in range(chance.randrange(3))]
    return {name: some_json(chance, levels - 1) for name in "abcd" if chance.random() < 0.5}


@pytest.mark.parametrize(("target", "patch", "result"), APPENDIX, ids=json.dumps)
def test_test_case_of_the_rfc(sql: Sql, target: Any, patch: Any, result: Any) -> None:
    assert merged(sql, target, patch) == result


def test_random_patches_merge_as_the_rfc_defines(sql: Sql) -> None:
    chance = random.Random(7396)
    for _ in range(300):
        target, patch = some_json(chance, 4), some_json(chance, 4)
        assert merged(sql, target, patch) == defined(target, patch), (target, patch)


def test_patch_that_is_sql_null_changes_nothing(sql: Sql) -> None:
    assert sql('select merge_patch(\'{"a": 1}\', null), merge_patch(null, \'{"a": 1, "b": null}\')') == [
        ({"a": 1}, {"a": 1})
    ]


def test_patch_of_64_levels_merges_and_a_deeper_one_is_refused(sql: Sql) -> None:
    deep = json.loads('{"a": ' * 63 + "{}" + "}" * 63)
    assert merged(sql, deep, deep) == deep
    with pytest.raises(psycopg.errors.StatementTooComplex, match="deeper than 64 levels"):
        merged(sql, {}, {"a": {"a": deep}})
    thousands = '{"a": ' * 5000 + "{}" + "}" * 5000
    with pytest.raises(psycopg.errors.StatementTooComplex, match="deeper than 64 levels"):
        sql("select merge_patch('{}', %s::jsonb)", thousands)
