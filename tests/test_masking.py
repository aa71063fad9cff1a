"""Masking of the log: secrets of the process, and whatever looks like a credential."""

import time

import pytest

from amplifier.masking import mask
from amplifier.runtime.secret_references import Secrets
from amplifier.secret import Secret
from amplifier.web.authentication import generate_key
from tests.conftest import token

KEY = "app_0123456789abcdef_" + "x" * 43
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtaWEifQ.signature-_"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"key {KEY}.", "key app_0123456789abcdef_***."),
        (f"X-API-Key: {KEY}", "X-API-Key: ***"),
        (f"('Authorization', 'Bearer {JWT}')", "('Authorization', 'Bearer ***')"),
        (f"the token {JWT}, expired", "the token ***, expired"),
        ("Incorrect API key provided: sk-proj-ab***********wxyz.", "Incorrect API key provided: ***"),
        ("Incorrect API key: sk-ant-0123456789", "Incorrect API key: ***"),
        ("postgresql://me:p%40ss@host/db?sslmode=require", "postgresql://me:***@host/db?***"),
        ("GET https://host/a?sig=x&b=y failed", "GET https://host/a?*** failed"),
        ("/events?ticket=abc HTTP", "/events?*** HTTP"),
        ('{"password": "p", "user": "u"}', '{"password": "***", "user": "u"}'),
        ("Cookie: a=b", "Cookie: ***"),
        ("the task-management of risk", "the task-management of risk"),
        ("GET /sessions/{session_id} 200", "GET /sessions/{session_id} 200"),
        ('password authentication failed for user "amplifier"', 'password authentication failed for user "amplifier"'),
    ],
)
def test_credentials_are_masked_by_their_form(text: str, masked: str) -> None:
    assert mask(text) == masked


def test_forms_are_those_that_the_service_makes() -> None:
    key = generate_key()
    assert mask(f"<{key.text}> <{token(sub='x')}>") == f"<{key.prefix}_***> <***>"


def test_secrets_of_the_process_are_masked_however_they_are_spelled() -> None:
    secret = Secret('canary "of" /a setting')
    for text in (secret.reveal(), 'canary \\"of\\" /a setting', "canary%20%22of%22%20%2Fa%20setting"):
        assert mask(f"<{text}>") == "<***>"


@pytest.mark.parametrize(
    "piece", ["a", "://a:", "?a=", "sk-", "eyJaaaaaa.", "bearer ", "token: ", "app_0123456789abcdef_"]
)
def test_cost_grows_with_the_length_of_the_text_only(piece: str) -> None:
    """A quadratic expression would take minutes."""
    text = piece * (400_000 // len(piece))
    started = time.process_time()
    mask(text)
    assert time.process_time() - started < 10


def test_secrets_of_agents_are_masked_once_they_were_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIAS_KEY", "a key of some provider")
    secrets = Secrets(frozenset({"MIAS_KEY"}))
    assert secrets("MIAS_KEY") == "a key of some provider"
    assert mask("with a key of some provider") == "with ***"
    monkeypatch.setenv("MIAS_KEY", "another key of it")
    secrets("MIAS_KEY")
    assert mask("with another key of it") == "with ***"
