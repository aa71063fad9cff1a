"""Secrets in configs: which references expand, where values come from, and how texts are masked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.runtime.mount_plan import mount_plan
from amplifier.runtime.secret_references import Secrets, redact, redacted
from tests.runtime.plans import ORIGINS, SECRET, plan, provider, refusal


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
def test_allowed_name_is_refused_where_it_would_be_shown(where: str) -> None:
    message = refusal(put(where, "x ${ALLOWED}"))
    assert "${ALLOWED} is a secret" in message
    assert SECRET not in message
    assert "${ALLOWED} is a secret" in refusal(put(where, "${ALLOWED:default}"))


@pytest.mark.parametrize("key", ["base_url", "model", "system_prompt", "deployment", "max_tokens", "user"])
def test_allowed_name_is_refused_under_keys_that_name_no_secret(key: str) -> None:
    assert "${ALLOWED} is a secret" in refusal(provider(**{key: "https://api.example.com/${ALLOWED}"}))


def test_allowed_name_expands_under_key_that_names_secret() -> None:
    made = plan(provider(api_key="${ALLOWED}", credentials={"a": ["Bearer ${ALLOWED}"]}, model="m"))
    config = made.mount["providers"][0]["config"]
    assert config == {"api_key": SECRET, "credentials": {"a": [f"Bearer {SECRET}"]}, "model": "m"}
    assert {SECRET, f"Bearer {SECRET}"} <= made.secrets


def test_clear_secrets_in_config_are_known() -> None:
    assert plan(provider(api_key="sk-clear", model="gpt")).secrets == {"sk-clear"}


def test_secret_headers_are_known_and_public_headers_are_not() -> None:
    headers = {"Authorization": "Bearer sk-of-header", "X-Gateway": "${ALLOWED}", "Accept": "application/json"}
    made = plan(provider(default_headers=headers, pin_token=12345678, use_token=True))
    assert made.secrets == {"Bearer sk-of-header", "sk-of-header", SECRET, "12345678"}


def test_defaults_replace_names_without_value() -> None:
    made = plan(provider(model="${MODEL:gpt-5}", api_key="${KEY:}", prompt="a${B:1}${C:2}"))
    assert made.mount["providers"][0]["config"] == {"model": "gpt-5", "api_key": "", "prompt": "a12"}


@pytest.mark.parametrize("text", ["${${ALLOWED}}", "${A:${ALLOWED}}", "${ALLOWED:${ALLOWED}}", "${ALLOWED${ALLOWED}}"])
def test_references_do_not_nest(text: str) -> None:
    assert "may not stand inside another" in refusal(provider(api_key=text))
    assert "may not stand inside another" in refusal(provider(model=text))


def test_expanded_values_are_not_expanded_again() -> None:
    values = {"A": "${B}", "B": "secret"}
    made = mount_plan(provider(api_key="${A}", token="${C:$}{B}"), values.get, ORIGINS)
    assert made.mount["providers"][0]["config"] == {"api_key": "${B}", "token": "${B}"}


def test_keys_are_not_expanded() -> None:
    assert plan(provider(api_key={"${ALLOWED}": "x"})).mount["providers"][0]["config"]["api_key"] == {"${ALLOWED}": "x"}


@pytest.mark.parametrize("written", [str, json.dumps, lambda text: json.dumps(text, ensure_ascii=False), repr])
def test_secrets_are_hidden_in_all_spellings(written: Callable[[str], str]) -> None:
    value = "ü-" + SECRET
    assert redact(f"error: {written(value)}", [value]).strip("'\"").removeprefix("error: ").strip("'\"") == "***"


def test_secrets_in_json_are_hidden_in_texts_only() -> None:
    value = {"messages": ["all messages", 1, None, {"arguments": "messages, and ollama"}]}
    hidden = {"messages": ["all ***", 1, None, {"arguments": "***, and ollama"}]}  # a short one is there by chance
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
def test_environment_does_not_replace_unreadable_secret_file(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("A", "an old one")
    (tmp_path / "A").write_bytes(content)
    assert Secrets(frozenset({"A"}), tmp_path)("A") is None
    assert "cannot be read" in caplog.text
