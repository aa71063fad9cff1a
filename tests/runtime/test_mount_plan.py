"""Mount plans contain modules and their configs only, and are bounded."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.runtime.plans import plan, provider, refusal


def test_plan_contains_only_modules_and_their_configs() -> None:
    config = {
        "bundle": {"name": "b", "version": "1"},
        "includes": [],
        "spawn": {"tools": []},
        "agents": {"a": {"tools": [{"module": "x", "source": "git+https://x"}]}},
        "context": {"files": ["/etc/passwd"]},
        "session": {"raw": True, "metadata": {"a": 1}, "orchestrator": {"module": "loop-basic", "more": 1}},
        "providers": [{"module": "provider-openai", "instance_id": "one", "source": None, "config": {"model": "m"}}],
        "tools": [{"module": "tool-x"}],
    }
    before = copy.deepcopy(config)
    made = plan(config)
    assert made.mount == {
        "session": {
            "orchestrator": {"module": "loop-basic", "config": {}},
            "context": {"module": "context-simple", "config": {}},
        },
        "providers": [{"module": "provider-openai", "instance_id": "one", "config": {"model": "m"}}],
        "tools": [{"module": "tool-x", "config": {}}],
        "hooks": [],
    }
    made.mount["providers"][0]["config"]["model"] = "changed"
    assert config == before


def test_session_may_be_missing_or_name_modules_by_strings() -> None:
    assert plan(provider()).mount["session"]["orchestrator"]["module"] == "loop-streaming"
    config = {
        **provider(),
        "session": {"orchestrator": "loop-basic", "context": "context-x"},
        "orchestrator": {"config": {"max_iterations": 3}},
    }
    assert plan(config).mount["session"] == {
        "orchestrator": {"module": "loop-basic", "config": {"max_iterations": 3}},
        "context": {"module": "context-x", "config": {}},
    }


@pytest.mark.parametrize("kind", ["providers", "tools", "hooks"])
@pytest.mark.parametrize("source", ["git+https://x.test/y", "/srv/module", {"url": "x"}, ["a"]])
def test_source_is_refused_in_every_entry(kind: str, source: Any) -> None:
    entry = {"module": "provider-openai", "source": source}
    assert refusal({**provider(), kind: [entry]}).startswith(f"{kind}[0].source: code is not loaded")
    entry = {"module": "provider-openai", "config": {"agents": [{"x": {"source": source}}]}}
    assert refusal({**provider(), kind: [entry]}).startswith(f"{kind}[0].config.agents[0].x.source: ")


@pytest.mark.parametrize("kind", ["orchestrator", "context"])
def test_source_is_refused_in_session(kind: str) -> None:
    given = {"module": "loop-basic", "source": "git+https://x"}
    assert f"session.{kind}.source" in refusal({**provider(), "session": {kind: given}})
    assert f"session.{kind}_source" in refusal({**provider(), "session": {kind: "x", f"{kind}_source": "git+x"}})


@pytest.mark.parametrize(
    ("config", "beginning"),
    [
        ({}, "providers: there are none"),
        ({"providers": {}}, "providers: must be a list"),
        ({"providers": ["provider-openai"]}, "providers[0]: must be an object"),
        ({"providers": [{"config": {}}]}, "providers[0].module: must be"),
        ({"providers": [{"module": 7}]}, "providers[0].module: must be"),
        ({"providers": [{"module": "x", "config": "y"}]}, "providers[0].config: must be an object"),
        ({"providers": [{"module": "x", "instance_id": "../y"}]}, "providers[0].instance_id: must be"),
        ({"providers": [{"module": "x"}, {"module": "x"}]}, "providers[1].instance_id: must differ"),
        ({"providers": [{"module": "x"}] * 21}, "providers: 21 entries"),
        ({**provider(), "tools": [{"module": "x"}] * 21}, "tools: 21 entries"),
        ({**provider(), "session": "loop-basic"}, "session: must be an object"),
        ({**provider(), "session": {"orchestrator": 1}}, "session.orchestrator: must be an object"),
        ({**provider(), "session": {"context": {}}}, "session.context.module: must be"),
        ({**provider(), "includes": [{"bundle": "foundation"}]}, "includes: bundles are not resolved"),
        ({**provider(), "includes": "foundation"}, "includes: must be a list"),
    ],
)
def test_refusal_begins_with_path_of_error(config: dict[str, Any], beginning: str) -> None:
    assert refusal(config).startswith(beginning)


@pytest.mark.parametrize("nest", [lambda value: [value], lambda value: {"x" * 1_000: value}])
def test_depth_is_limited_before_anything_recurses(nest: Callable[[Any], Any]) -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = nest(deep)
    message = refusal(provider(deep=deep))
    assert "more than 50 levels" in message
    assert len(message) < 300


def test_size_of_config_is_limited() -> None:
    wide = {f"key{number}": {"x" * 5_000: [str(number)] * 7} for number in range(2_000)}
    assert plan(provider(wide=wide)).mount["providers"][0]["config"]["wide"] == wide
    assert "20000 values" in refusal(provider(wide=[wide, wide]))
    assert "20000 values" in refusal({**provider(), "hooks": [{"module": "x", "config": {"a": [{}] * 10_000}}] * 3})


def test_number_of_secrets_is_limited() -> None:
    assert len(plan(provider(tokens=[f"token-{number}" for number in range(100)])).secrets) == 100
    assert refusal(provider(tokens=[f"token-{number}" for number in range(101)])).startswith("more than 100 texts")
