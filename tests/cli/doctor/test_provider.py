"""Doctor reads what the identity provider of the console says of itself, and names what prevents signing in."""

import json
from typing import Any

import pytest

from tests.conftest import SECRET
from tests.support.doctor import examined, listening, saying
from tests.support.service import free_port

NAME = "console sign-in"


def environ(port: int, **changes: str) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    issuer = {"CONSOLE_OIDC_ISSUER": f"{url}/v2", "CONSOLE_OIDC_CLIENT_ID": "page"}
    required = {"AUTH_REQUIRED": "true", "AUTH_MODE": "jwt_only", "SECRET_KEY": SECRET}
    return required | issuer | {"JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY_URL": f"{url}/keys"} | changes


def answer(text: str, status: str = "200 OK") -> str:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n{text}"


# what the provider says in place of what is right, and the finding
ANSWERS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "ok", "people sign in at 127.0.0.1"),
    ({"code_challenge_methods_supported": ["plain", "S256"]}, "ok", "people sign in at"),
    ({"code_challenge_methods_supported": ["plain"]}, "failed", "does not know S256"),
    ({"issuer": "https://other.example"}, "failed", "calls itself https://other.example"),
    ({"token_endpoint": "https://tokens.example/token"}, "failed", "tokens are at https://tokens.example/token"),
    ({"jwks_uri": "https://keys.example/"}, "warning", "has its keys at https://keys.example/"),
]


@pytest.mark.parametrize(("changes", "status", "seen"), ANSWERS)
async def test_provider_is_compared_with_settings_and_policy(changes: dict[str, Any], status: str, seen: str) -> None:
    async def respond(*streams: Any) -> None:
        url = f"http://127.0.0.1:{port}"
        right = {"issuer": f"{url}/v2", "token_endpoint": f"{url}/token", "jwks_uri": f"{url}/keys"}
        await saying(answer(json.dumps(right | changes)))(*streams)

    async with listening(respond) as port:
        found = (await examined(environ(port), NAME))[NAME]
    assert (found.status, seen in found.seen) == (status, True), found


@pytest.mark.parametrize("said", [answer("<html>"), answer("[]"), answer("", "404 Not Found"), ""])
async def test_unreadable_provider_is_named(said: str) -> None:
    async with listening(saying(said)) as port:
        found = (await examined(environ(port), NAME))[NAME]
    assert found.status == "failed", found
    assert "nobody can sign in to the console" in str(found.problem)
    assert "CONSOLE_OIDC_ISSUER" in str(found.remedy)


@pytest.mark.parametrize("changes", [{"AUTH_REQUIRED": "false"}, {"CONSOLE": "false"}])
async def test_nothing_is_asked_where_nobody_signs_in(changes: dict[str, str]) -> None:
    assert (await examined(environ(free_port(), **changes), NAME))[NAME].status == "skipped"
