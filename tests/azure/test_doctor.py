"""Doctor gets a token of Microsoft Entra before it signs in, and names what prevents it."""

import pytest

from amplifier import sign_in
from amplifier.azure import credential
from amplifier.cli.doctor import login
from tests.support.doctor import examined
from tests.support.entra_server import EntraServer
from tests.support.service import free_port


@pytest.fixture(autouse=True)
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "_known", {})
    monkeypatch.setattr(credential, "_REPEAT", 0.0)


def environ() -> dict[str, str]:
    return {"DATABASE_AUTH": "entra", "DATABASE_URL": f"postgresql://api@127.0.0.1:{free_port()}/chats"}


async def test_token_is_had_and_not_shown(entra: EntraServer) -> None:
    found = (await examined(environ(), "token"))["token"]
    assert (found.status, found.seen) == ("ok", "Microsoft Entra gives one for api")
    assert len(entra.tokens) == 1
    assert entra.tokens[0] not in str(found)


async def test_missing_identity_is_named(entra: EntraServer) -> None:
    entra.status = 400
    found = (await examined(environ(), "token"))["token"]
    assert (found.status, found.seen) == ("failed", "Microsoft Entra gives no token")
    assert "managed identity" in str(found.problem)
    assert "docs/azure.md" in str(found.remedy)


async def test_endpoint_that_does_not_answer_is_named(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "_TOKEN", 0.05)
    entra.hanging.set()
    found = (await examined(environ(), "token"))["token"]
    assert (found.status, found.problem) == ("failed", "the endpoint of the identity does not answer")


async def test_password_needs_no_token() -> None:
    found = (await examined({"DATABASE_URL": "postgresql://api:secret@127.0.0.1/chats"}, "token"))["token"]
    assert (found.status, found.seen) == ("skipped", "because DATABASE_AUTH is password")
