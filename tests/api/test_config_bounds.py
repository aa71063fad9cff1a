"""Bounds of configs: size, number of values and length of texts, on every way into the database."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from amplifier.configs import sealing
from amplifier.configs.validation import MAX_BYTES, MAX_VALUES
from tests.conftest import assert_problem

BUNDLE = {"bundle": {"name": "b"}}
MANY = {**BUNDLE, "x": [0] * MAX_VALUES}
LARGE = {**BUNDLE, "x": ["x" * 90_000] * 12}
TOO_MANY = f"config_data must not have more than {MAX_VALUES} values"
TOO_LARGE = f"config_data must not be larger than {MAX_BYTES} bytes, its secrets encrypted"


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"x": MANY["x"]}, TOO_MANY),
        ({"x": {f"k{number}": 1 for number in range(MAX_VALUES)}}, TOO_MANY),
        ({"x": [[0] * 99] * 210}, TOO_MANY),
        ({"x": LARGE["x"]}, TOO_LARGE),
        ({"api_keys": ["x" * 90_000] * 11}, TOO_LARGE),  # encryption makes it a third longer
        ({"x": nested(500)}, "config_data must not be nested deeper than 64 levels"),
        ({"x": ["x" * 100_001]}, "config_data: a text in a list must have at most 100000 characters"),
        ({"instructions": "x" * 100_001}, "config_data: instructions must have at most 100000 characters"),
        ({"x" * 1001: 1}, "config_data: a key must have at most 1000 characters"),
        ({"bundle": {"name": "x" * 256}}, "bundle.name must have at most 255 characters"),
        ({"includes": [{"bundle": "x" * 201}]}, "config_data: bundle must have at most 200 characters"),
        ({"tools": [{"module": "x" * 201}]}, "config_data: module must have at most 200 characters"),
        *(
            (
                {"providers": [{"module": "m", "config": {key: "x" * (most + 1)}}]},
                f"config_data: {key} must have at most",
            )
            for key, most in (("model", 200), ("default_model", 200), ("base_url", 2000), ("endpoint", 2000))
        ),
    ],
)
async def test_config_beyond_bounds_is_refused(
    alice: httpx.AsyncClient, config_id: str, more: dict[str, Any], detail: str
) -> None:
    body = {"name": "n", "config_data": {**BUNDLE, **more}}
    for response in (
        await alice.post("/configs", json=body),
        await alice.put(f"/configs/{config_id}", json=body),
        await alice.post("/configs", json={"name": "n", "config_data": BUNDLE, "session": more}),
        await alice.put(f"/configs/{config_id}", json={"session": more}),
    ):
        if detail.startswith("bundle.name") and response.status_code in (200, 201):
            continue  # the name of no bundle
        assert response.json()["detail"].startswith(detail)
        assert_problem(response, 422)
    assert (await alice.get(f"/configs/{config_id}")).json()["version"] == 1 or detail.startswith("bundle.name")


async def test_config_at_bounds_is_accepted(alice: httpx.AsyncClient) -> None:
    config = {"bundle": {"name": "x" * 255}, "providers": [{"module": "m", "config": {"model": "x" * 200}}]}
    many = {**config, "x": [0] * (MAX_VALUES - 9), "instructions": "x" * 100_000}
    assert (await alice.post("/configs", json={"name": "n", "config_data": many})).status_code == 201
    large = {**config, "x": ["x" * 100_000] * 10}
    assert (await alice.post("/configs", json={"name": "n", "config_data": large})).status_code == 201


async def test_merged_config_beyond_bounds_is_refused(alice: httpx.AsyncClient, config_id: str) -> None:
    """Each part is within them."""
    path = f"/configs/{config_id}"
    for half, detail in (([0] * 11_000, TOO_MANY), (["x" * 90_000] * 6, TOO_LARGE)):
        await alice.put(path, json={"config_data": BUNDLE | {"x": half}})
        before = (await alice.get(path)).json()
        refused = await alice.put(path, json={"session": {"x": half}})
        assert_problem(refused, 422, detail)
        assert (await alice.get(path)).json() == before


async def test_older_config_beyond_bounds_is_read_and_deleted(
    alice: httpx.AsyncClient, config_id: str, sql: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A config stored before there were bounds is not decoded, which would hold up other requests."""
    path = f"/configs/{config_id}"
    text = msgspec.json.encode(MANY).decode()
    _unbounded(sql)
    sql("update configs set config_json = %s where config_id = %s", text, config_id)
    monkeypatch.setattr(sealing, "json_numbers", None)
    for decrypt in (False, True):
        read = (await alice.get(path, params={"decrypt": decrypt})).json()
        assert (read["config_data"], read["encrypted"]) == (MANY, False)
    monkeypatch.undo()
    assert (await alice.get(f"{path}/versions/1")).status_code == 200
    assert (await alice.delete(path)).status_code == 200


async def test_restore_of_older_version_beyond_bounds_is_refused(
    alice: httpx.AsyncClient, config_id: str, sql: Callable[..., list[Any]]
) -> None:
    path = f"/configs/{config_id}"
    _unbounded(sql)
    for config, detail in ((MANY, TOO_MANY), (LARGE, TOO_LARGE)):
        sql("update configs set config_json = %s where config_id = %s", msgspec.json.encode(config).decode(), config_id)
        version = (await alice.get(path)).json()["version"]
        assert (await alice.put(path, json={"config_data": BUNDLE})).status_code == 200
        assert_problem(await alice.post(f"{path}/versions/{version}/restore"), 422, detail)
        assert (await alice.get(path)).json()["config_data"] == BUNDLE


def _unbounded(sql: Callable[..., list[Any]]) -> None:
    """Stores what follows as if there were no triggers, which keep the bound in the database."""
    sql("set session_replication_role = replica")
