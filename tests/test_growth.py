"""Work on texts of callers, configs and providers takes time proportional to their length."""

import asyncio
from collections.abc import Callable
from typing import Any

import amplifier_core.llm_errors as llm
import msgspec
import pytest
from amplifier_core.message_models import ChatRequest, Message, ToolSpec
from amplifier_core.testing import MockCoordinator

from amplifier.configs.encryption import names_secret
from amplifier.masking import mask, redact
from amplifier.runtime.modules.model_requests import Requests
from amplifier.runtime.modules.providers import echo, failures
from amplifier.runtime.modules.providers.blocks import Blocks
from amplifier.runtime.modules.providers.conversation import conversation
from amplifier.runtime.modules.providers.options import read
from amplifier.runtime.mount_plan import mount_plan, origin_of
from amplifier.transcripts import reader
from amplifier.transcripts.integrity import diagnose, valid
from amplifier.transcripts.parts import Call, Text
from amplifier.transcripts.plain import is_plain
from amplifier.transcripts.scrubber import Scrubber
from amplifier.web.misfits import misfit
from tests.support.growth import LIMIT, exponent

pytestmark = pytest.mark.slow

SOURCE = failures.Source("openai", "m", ["sk-secret-of-the-config"], None)
ECHO = echo.EchoProvider(MockCoordinator(), echo._Options())
SCRUBBER = Scrubber(frozenset({"keys", "emails"}))
TOOLS = [ToolSpec(name="say", parameters={})]


def answered(text: str) -> None:
    request = ChatRequest(messages=[Message(role="user", content=text)], tools=TOOLS)
    asyncio.run(ECHO.complete(request))


def blocks(count: int) -> None:
    async def grow() -> None:
        made = Blocks(MockCoordinator(), silent=True)
        for number in range(count):
            block = await made.begin("tool_call", made.fresh_id(f"call_{number}"), "say")
            block.signatures.append("s")

    asyncio.run(grow())


def called(count: int) -> None:
    calls = [{"id": str(number), "tool": "say", "arguments": {}} for number in range(count)]
    results = [{"role": "tool", "tool_call_id": str(number), "content": ""} for number in range(count)]
    answer = {"role": "assistant", "content": "ok"}
    assert is_plain([{"role": "user", "content": ""}, answer | {"tool_calls": calls}, *results, answer])
    for given in (results, results[::-1]):
        messages = valid([answer | {"tool_calls": calls}, *given, answer])
        assert len(conversation(Requests([]).request(messages, [], False).messages)) == 3


def paired(calls: list[dict[str, Any]]) -> None:
    """Pairs calls and results without ids, and of one id, in one message and in many."""
    results = [{"role": "tool", "name": "x", "content": ""}] * len(calls)
    within = [{"type": "tool-get", "toolCallId": "a", "state": "output-available", "output": ""} for _ in calls]
    diagnose([{"role": "assistant", "tool_calls": calls}, *results, *results])
    diagnose([{"role": "assistant", "parts": within}, *results])
    rounds = [[{"role": "assistant", "tool_calls": [call]}, *results[:1]] for call in calls]
    diagnose([message for one in rounds for message in one])


def expanded(text: str) -> None:
    config = {"providers": [{"module": "m", "config": {"api_key": text}}]}
    mount_plan(config, {"A": "secret"}.get, frozenset())


def mounted(value: dict[str, Any]) -> None:
    mount_plan({"providers": [{"module": "m", "config": value}]}, {}.get, frozenset())


@pytest.mark.parametrize(
    ("run", "make"),
    [
        (answered, lambda size: "/call " + "{" * size + " x"),
        (answered, lambda size: "/call " + " " * size),
        (answered, lambda size: "/call say " + "{}" * size),
        (answered, lambda size: "/call say {" + " " * size + "}"),
        (answered, lambda size: " " * size),
        (SOURCE.mask, lambda size: "x" * size),
        (SOURCE.mask, lambda size: "*" * size),
        (SOURCE.mask, lambda size: "sk-" * size),
        (SOURCE.mask, lambda size: "x**" * size),
        (lambda text: failures._kind(400, text, text), lambda size: "maximum" * size),
        (lambda text: misfit(msgspec.ValidationError(text)), lambda size: " - at `" * size),
        (lambda text: misfit(msgspec.ValidationError(text)), lambda size: " - at `" * size + "`"),
        (names_secret, lambda size: "max" * size),
        (names_secret, lambda size: "token" * size),
        (origin_of, lambda size: "http://" + "a" * size + "@"),
        (origin_of, lambda size: "http://a/" + "/" * size + "@"),
        (mask, lambda size: "://a:" * size),
        (lambda text: redact(text, ["aaaaaaab" * 8]), lambda size: "a" * size),
        (expanded, lambda size: "${A:" * 1 + "x" * size),
        (expanded, lambda size: "$" * size),
        (SCRUBBER.text, lambda size: "eyJ" * size),
        (SCRUBBER.text, lambda size: "a@b." * size),
        (SCRUBBER.text, lambda size: "-----BEGIN PRIVATE KEY-----" * size),
        (SCRUBBER.text, lambda size: '"\\' * size),
        (mounted, lambda size: {"x" * 5_000: ["1"] * (size // 8)}),
        (blocks, lambda size: size),
        (called, lambda size: size),
        (paired, lambda size: [{"name": "x"}] * size),
        (paired, lambda size: [{"name": "x", "id": "a"}] * size),
        (paired, lambda size: [{"name": str(number)} for number in range(size)]),
    ],
)
def test_work_takes_time_in_proportion_to_text(run: Callable[[Any], Any], make: Callable[[int], Any]) -> None:
    assert exponent(run, make) <= LIMIT


def test_echo_calls_tool_for_text_with_or_without_arguments() -> None:
    def wanted(text: str) -> Any:
        return echo._wanted_call(
            [("user", [Text(text)])], ChatRequest(messages=[Message(role="user", content="")], tools=TOOLS)
        )

    assert wanted("/call say") == ("say", "{}")
    assert wanted('/call  say \n{"a": "}{"} ') == ("say", '{"a": "}{"}')
    assert wanted('/call say{"a": 1}') == ("say", '{"a": 1}')
    for text in (
        "/call",
        "/callsay",
        "/call other",
        "/call say x",
        "/call say {",
        "/call say {} x",
        "/call say {]}",
        "x /call say",
    ):
        assert wanted(text) is None, text
    assert wanted("/call say {" + '"a":[' * 5_000 + "}") is None


def test_arguments_nested_too_deeply_are_text() -> None:
    """They are a text in a stored message, which is not checked when it is stored."""
    call = {"id": "c", "tool": "say", "arguments": "[" * 100_000}
    [part] = reader.read({"role": "assistant", "content": "", "tool_calls": [call]}).parts
    assert isinstance(part, Call)
    assert part.arguments == {"input": "[" * 100_000}


@pytest.mark.parametrize("given", [{"model": "m" * 201}, {"base_url": "https://x.test/" + "x" * 2000}])
def test_provider_refuses_long_names(given: dict[str, Any]) -> None:
    with pytest.raises(llm.ConfigurationError, match="length <="):
        read("openai", "https://x.test", {"api_key": "k", "model": "m"} | given)


def test_long_value_is_not_repeated_in_problem() -> None:
    class Body(msgspec.Struct):
        kind: int

    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(b'{"kind": "x"}', type=Body)
    assert misfit(error.value).members["errors"] == [{"field": "kind", "detail": "Expected `int`, got `str`"}]
    problem = misfit(msgspec.ValidationError(f"Invalid enum value {'x' * 100_000!r} - at `$.kind`"))
    assert len(problem.detail) < 1100
    assert problem.detail.endswith(" - at `$.kind`")
    assert problem.members["errors"][0]["field"] == "kind"
