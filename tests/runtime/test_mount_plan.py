"""Plans of stored configs: no way from a config to the server's environment, its code or its network."""

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.runtime.mount_plan import Plan, PlanRefused, mount_plan, origin_of
from amplifier.runtime.secret_references import Secrets, redact, redacted

SECRET = 'sk-the-operator\'s "key" / 1'
ORIGINS = frozenset({"https://api.example.com", "http://127.0.0.1:8080/v1", "https://[::1]:8443"})


def secret(name: str) -> str | None:
    return {"ALLOWED": SECRET, "ADDRESS": "https://elsewhere.test"}.get(name)


def provider(**given: Any) -> dict[str, Any]:
    return {"providers": [{"module": "provider-openai", "config": given}]}


def plan(config: dict[str, Any]) -> Plan:
    return mount_plan(config, secret, ORIGINS)


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(PlanRefused) as refused:
        plan(config)
    return str(refused.value)


def put(where: str, value: Any) -> dict[str, Any]:
    """A config that has a value in one of the places where a string may stand."""
    entry = {"module": "tool-x", "config": {"deep": [{"text": value}]}}
    config: dict[str, Any] = {"providers": [{"module": "provider-openai", "config": {}}]}
    if where in ("orchestrator", "context"):
        return {**config, "session": {where: entry}}
    if where == "string form":
        return {**config, "session": {"context": "context-simple"}, "context": {"config": {"system_prompt": value}}}
    if where == "providers":
        return {"providers": [entry]}
    return {**config, where: [entry]}


PLACES = ["orchestrator", "context", "string form", "providers", "tools", "hooks"]


def test_a_plan_has_modules_and_their_configs_and_nothing_else() -> None:
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


def test_a_session_may_be_missing_or_name_its_modules_by_strings() -> None:
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
def test_a_source_is_refused_in_every_entry(kind: str, source: Any) -> None:
    entry = {"module": "provider-openai", "source": source}
    assert refusal({**provider(), kind: [entry]}).startswith(f"{kind}[0].source: code is not loaded")
    entry = {"module": "provider-openai", "config": {"agents": [{"x": {"source": source}}]}}
    assert refusal({**provider(), kind: [entry]}).startswith(f"{kind}[0].config.agents[0].x.source: ")


@pytest.mark.parametrize("kind", ["orchestrator", "context"])
def test_a_source_is_refused_in_the_session(kind: str) -> None:
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
def test_what_is_wrong_is_said_with_its_place(config: dict[str, Any], beginning: str) -> None:
    assert refusal(config).startswith(beginning)


@pytest.mark.parametrize("nest", [lambda value: [value], lambda value: {"x" * 1_000: value}])
def test_depth_is_limited_before_anything_recurses(nest: Callable[[Any], Any]) -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = nest(deep)
    message = refusal(provider(deep=deep))
    assert "more than 50 levels" in message
    assert len(message) < 300


def test_a_config_is_not_so_large_that_reading_it_delays_others() -> None:
    wide = {f"key{number}": {"x" * 5_000: [str(number)] * 7} for number in range(2_000)}
    started = time.thread_time()
    assert plan(provider(wide=wide)).mount["providers"][0]["config"]["wide"] == wide
    assert time.thread_time() - started < 2
    assert "20000 values" in refusal(provider(wide=[wide, wide]))
    assert "20000 values" in refusal({**provider(), "hooks": [{"module": "x", "config": {"a": [{}] * 10_000}}] * 3})


def test_more_secrets_than_can_be_looked_for_are_refused() -> None:
    assert len(plan(provider(tokens=[f"token-{number}" for number in range(100)])).secrets) == 100
    assert refusal(provider(tokens=[f"token-{number}" for number in range(101)])).startswith("more than 100 texts")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("text", ["${DATABASE_URL}", "see ${HOME}/x", "${PATH}${HOME}"])
def test_names_that_are_not_allowed_are_refused_everywhere(
    where: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@h/d")
    there = refusal(put(where, text))
    for name in ("DATABASE_URL", "HOME", "PATH"):
        monkeypatch.delenv(name, raising=False)
    assert refusal(put(where, text)) == there
    assert "RUNTIME_SECRETS" in there
    assert "postgres:" not in there


@pytest.mark.parametrize("where", PLACES)
def test_an_allowed_name_is_refused_where_it_would_be_shown(where: str) -> None:
    message = refusal(put(where, "x ${ALLOWED}"))
    assert "${ALLOWED} is a secret" in message
    assert SECRET not in message
    assert "${ALLOWED} is a secret" in refusal(put(where, "${ALLOWED:default}"))


@pytest.mark.parametrize("key", ["base_url", "model", "system_prompt", "deployment", "max_tokens", "user"])
def test_an_allowed_name_is_refused_under_keys_that_name_no_secret(key: str) -> None:
    assert "${ALLOWED} is a secret" in refusal(provider(**{key: "https://api.example.com/${ALLOWED}"}))


def test_an_allowed_name_expands_under_a_key_that_names_a_secret() -> None:
    made = plan(provider(api_key="${ALLOWED}", credentials={"a": ["Bearer ${ALLOWED}"]}, model="m"))
    config = made.mount["providers"][0]["config"]
    assert config == {"api_key": SECRET, "credentials": {"a": [f"Bearer {SECRET}"]}, "model": "m"}
    assert {SECRET, f"Bearer {SECRET}"} <= made.secrets


def test_clear_secrets_in_a_config_are_known_too() -> None:
    assert plan(provider(api_key="sk-clear", model="gpt")).secrets == {"sk-clear"}


def test_secrets_in_headers_are_known_and_public_headers_are_none() -> None:
    headers = {"Authorization": "Bearer sk-of-header", "X-Gateway": "${ALLOWED}", "Accept": "application/json"}
    made = plan(provider(default_headers=headers, pin_token=12345678, use_token=True))
    assert made.secrets == {"Bearer sk-of-header", "sk-of-header", SECRET, "12345678"}


def test_defaults_stand_where_a_name_has_no_value() -> None:
    made = plan(provider(model="${MODEL:gpt-5}", api_key="${KEY:}", prompt="a${B:1}${C:2}"))
    assert made.mount["providers"][0]["config"] == {"model": "gpt-5", "api_key": "", "prompt": "a12"}


@pytest.mark.parametrize("text", ["${${ALLOWED}}", "${A:${ALLOWED}}", "${ALLOWED:${ALLOWED}}", "${ALLOWED${ALLOWED}}"])
def test_references_do_not_nest(text: str) -> None:
    assert "may not stand inside another" in refusal(provider(api_key=text))
    assert "may not stand inside another" in refusal(provider(model=text))


def test_what_is_expanded_is_not_expanded_again() -> None:
    values = {"A": "${B}", "B": "secret"}
    made = mount_plan(provider(api_key="${A}", token="${C:$}{B}"), values.get, ORIGINS)
    assert made.mount["providers"][0]["config"] == {"api_key": "${B}", "token": "${B}"}


def test_keys_are_not_expanded() -> None:
    assert plan(provider(api_key={"${ALLOWED}": "x"})).mount["providers"][0]["config"]["api_key"] == {"${ALLOWED}": "x"}


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:443/v1/chat?x=1",
        "HTTPS://API.Example.com/v1",
        "http://127.0.0.1:8080",
        "https://[::1]:8443/v1",
        "",
    ],
)
def test_addresses_of_an_allowed_origin_pass(address: str) -> None:
    assert plan(provider(base_url=address)).mount["providers"][0]["config"]["base_url"] == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test",
        "http://api.example.com",
        "https://api.example.com:8443",
        "https://api.example.com@evil.test",
        "https://api.example.com:443@evil.test/",
        "https://api.example.com/@evil.test",
        "https://user@api.example.com",
        "https://api.example.com.evil.test",
        "https://api.example.com./",
        "https://api.example.com\\@evil.test",
        "https://api.example.com#@evil.test",
        "https://api.example.com?@evil.test",
        "https:\\\\evil.test",
        "https:/evil.test",
        "//evil.test",
        " https://api.example.com",
        "https://api.example.com ",
        "https://api.example.com\n",
        "https://api.example.com/\r\nHost: evil.test",
        "https://api.\u200bexample.com",
        "https://\uff41pi.example.com",
        "https://xn--pi-7ja.example.com",
        "https://api%2eexample.com",
        "https://api.example.com\u3002evil.test",
        "http://0177.0.0.1:8080",
        "http://2130706433:8080",
        "http://127.1:8080",
        "http://[::ffff:127.0.0.1]:8080",
        "http://localhost:8080",
        "https://[::1]",
        "https://[::1%25eth0]:8443",
        "http://169.254.169.254/latest/meta-data",
        "http+unix://%2Frun%2Fpodman.sock/x",
        "file:///etc/passwd",
        "ftp://api.example.com",
        "https://",
        "https://:443",
        "https://api.example.com:",
        "https://api.example.com:99999999",
        "https://api.example.com:\u0664\u0664\u0663",
    ],
)
def test_all_other_addresses_are_refused(address: str) -> None:
    message = refusal(provider(base_url=address))
    assert "providers[0].config.base_url" in message
    assert "RUNTIME_BASE_URLS" in message


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "evil.test"},
        {"azureEndpoint": "evil.test"},
        {"api-base": "evil.test:80"},
        {"host": "evil.test"},
        {"host": 2130706433},
        {"base_urls": ["https://api.example.com", "evil.test"]},
        {"server_address": {"x": "evil.test"}},
        {"proxy": "evil.test:3128"},
        {"default_headers": {"Host": "evil.test"}},
        {"extra": {"anything": ["https://evil.test"]}},
        {"extra": {"anything": "//evil.test/x"}},
        {"base_url": "${NOTHING:https://evil.test}"},
        {"base_url": "https://${NOTHING:evil.test}"},
        {"token_url": "${ADDRESS}"},
        {"api_key": "${ADDRESS}"},
    ],
)
def test_a_provider_gets_no_address_by_another_way(given: dict[str, Any]) -> None:
    message = refusal(provider(**given))
    assert "RUNTIME_BASE_URLS" in message
    assert "evil" not in message
    assert "elsewhere" not in message


def test_a_tool_with_a_secret_of_the_operator_gets_no_other_address() -> None:
    own = {"module": "tool-x", "config": {"url": "https://a.test", "api_key": "clear-key"}}
    assert plan({**provider(), "tools": [own]}).mount["tools"] == [own]
    given = {"module": "tool-x", "config": {"url": "https://a.test", "api_key": "${ALLOWED}"}}
    assert refusal({**provider(), "tools": [given]}).startswith("tools[0].config.url: this address is not allowed")
    given = {"module": "tool-x", "config": {"url": "https://api.example.com", "api_key": "${ALLOWED}"}}
    assert plan({**provider(), "tools": [given]}).mount["tools"][0]["config"]["api_key"] == SECRET


def test_without_origins_no_address_is_allowed() -> None:
    with pytest.raises(PlanRefused):
        mount_plan(provider(base_url="https://api.openai.com/v1"), secret, frozenset())
    with pytest.raises(PlanRefused):
        mount_plan(provider(base_url="nonsense"), secret, frozenset({"nonsense"}))


def test_an_origin_is_scheme_host_and_port() -> None:
    assert origin_of("HTTP://Example.com/x") == ("http", "example.com", 80)
    assert origin_of("https://user:p@example.com") is None


@pytest.mark.parametrize("written", [str, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), repr])
def test_secrets_are_hidden_as_they_are_written(written: Callable[[str], str]) -> None:
    value = "ü-" + SECRET
    assert redact(f"error: {written(value)}", [value]).strip("'\"").removeprefix("error: ").strip("'\"") == "***"


def test_what_is_no_text_is_hidden_in_its_texts_only() -> None:
    value = {"messages": ["all messages", 1, None, {"arguments": "messages, and ollama"}]}
    hidden = {"messages": ["all ***", 1, None, {"arguments": "***, and ollama"}]}  # short ones stand there by chance
    assert redacted(value, frozenset({"messages", "arguments", "ollama"})) == hidden


def test_secrets_are_hidden_in_addresses_longest_first() -> None:
    text = "https://x.test/?a=key%2Fof+me&b=key%2fof%20me and key/of me too and key/of me"
    assert redact(text, ["key/of me", "key/of me too", "a", ""]) == "https://x.test/?a=***&b=*** and *** and ***"


def test_secrets_are_read_from_files_then_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets(frozenset({"A", "B", "C", "in-vault", "../up"}), tmp_path / "mounted")
    (tmp_path / "mounted" / "..data").mkdir(parents=True)
    (tmp_path / "mounted" / "..data" / "A").write_text("from the vault\n")
    (tmp_path / "mounted" / "A").symlink_to(tmp_path / "mounted" / "..data" / "A")
    (tmp_path / "mounted" / "in-vault").write_text("dashes\r\n")
    (tmp_path / "up").write_text("a file elsewhere")
    for name in ("A", "B", "NOT_ALLOWED"):
        monkeypatch.setenv(name, "from the environment")
    monkeypatch.setenv("C", "")
    names = ("A", "B", "C", "D", "in-vault", "../up", "..data", "NOT_ALLOWED", "/etc/hostname", "")
    assert {name: secrets(name) for name in names if secrets(name)} == {
        "A": "from the vault",
        "B": "from the environment",
        "in-vault": "dashes",
    }
    (tmp_path / "mounted" / "..data" / "A").write_text("rotated")
    assert secrets("A") == "rotated"


@pytest.mark.parametrize("content", [b"x" * 65_537, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_no_value_and_the_environment_does_not_replace_it(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("A", "an old one")
    (tmp_path / "A").write_bytes(content)
    assert Secrets(frozenset({"A"}), tmp_path)("A") is None
    assert "cannot be read" in caplog.text
