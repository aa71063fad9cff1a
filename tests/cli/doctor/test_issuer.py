"""Doctor reads the keys that verify tokens, and names what prevents it."""

import email.utils
import json
import re
import time
from collections.abc import Callable
from functools import cache

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conftest import SECRET
from tests.support.doctor import examined, listening, saying
from tests.support.service import free_port


@cache
def key() -> dict[str, str]:
    """Returns a key of the issuer. It is made in the first test: collecting tests should not take longer for it."""
    public = rsa.generate_private_key(65537, 2048).public_key()
    return dict(json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(public)) | {"kid": "k1", "use": "sig"})


def environ(port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}/jwks"
    return {"AUTH_REQUIRED": "true", "SECRET_KEY": SECRET, "JWT_ALGORITHM": "RS256", "JWT_PUBLIC_KEY_URL": url}


def document(body: str, late: float = 0, status: str = "200 OK", more: str = "") -> str:
    date = email.utils.formatdate(time.time() - late, usegmt=True)
    return f"HTTP/1.1 {status}\r\ndate: {date}\r\n{more}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}"


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (
            lambda: document(json.dumps({"keys": [key(), {"kty": "EC"}]})),
            "ok",
            "keys of the issuer that verify RS256: 1",
        ),
        (
            lambda: document(json.dumps({"keys": [key()]}), late=900),
            "failed",
            r"the issuer of tokens is 90[01] s behind",
        ),
        (
            lambda: document(json.dumps({"keys": [key()]}), late=900, more="age: 900\r\n"),
            "ok",
            "keys of the issuer that verify RS256: 1",
        ),
        (lambda: document('{"keys": []}'), "failed", "no key that verifies RS256"),
        (lambda: document("<html>"), "failed", "no key that verifies RS256"),
        (lambda: document("", status="404 Not Found"), "failed", "404 Not Found"),
    ],
)
async def test_keys_of_the_issuer_are_judged(answer: Callable[[], str], status: str, says: str) -> None:
    async with listening(saying(answer())) as port:
        found = (await examined(environ(port), "token keys"))["token keys"]
    assert (found.status, bool(re.search(says, str(found)))) == (status, True), found


async def test_issuer_that_cannot_be_reached_is_named() -> None:
    found = (await examined(environ(free_port()), "token keys"))["token keys"]
    assert (found.status, "every request is refused" in str(found.problem)) == ("failed", True)
    assert "JWT_PUBLIC_KEY_URL" in str(found.remedy)


@pytest.mark.parametrize(("changes", "status"), [({}, "skipped"), ({"AUTH_REQUIRED": "true"}, "ok")])
async def test_secret_key_needs_no_issuer(changes: dict[str, str], status: str) -> None:
    found = await examined({"SECRET_KEY": SECRET} | changes, "token keys")
    assert found["token keys"].status == status
