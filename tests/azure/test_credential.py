"""Tokens of Microsoft Entra, from azure-identity and a server that answers as the managed identity endpoint does."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from amplifier.azure.credential import Credential, shared
from amplifier.errors import OperatorError
from amplifier.masking import mask
from tests.support.entra_server import HEADER, EntraServer
from tests.support.polling import until

SCOPE = "https://database.example/.default"


async def _until(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amplifier.azure.credential._REPEAT", 0.0)


def test_token_is_kept_and_asked_for_by_its_resource(entra: EntraServer) -> None:
    assert [shared().token(SCOPE), shared().token(SCOPE)] == ["entra-token-1", "entra-token-1"]
    assert [request["resource"] for request in entra.requests] == ["https://database.example"]
    assert shared().token("https://vault.example/.default") == "entra-token-2"


def test_client_id_names_the_user_assigned_identity(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "a-client-id")
    Credential().token(SCOPE)
    assert entra.requests[0]["client_id"] == "a-client-id"


def test_workload_identity_exchanges_the_token_of_the_service_account(
    entra: EntraServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "account").write_text("token-of-the-service-account")
    roots = entra.use_tls(tmp_path)
    settings = {"AZURE_AUTHORITY_HOST": entra.url, "AZURE_TENANT_ID": "a-tenant", "AZURE_CLIENT_ID": "a-client-id"}
    settings |= {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "account"), "REQUESTS_CA_BUNDLE": str(roots)}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for name in entra.environ:
        monkeypatch.delenv(name)
    assert Credential().token(SCOPE) == "entra-token-1"
    [request] = entra.requests
    assert (request["client_assertion"], request["client_id"]) == ("token-of-the-service-account", "a-client-id")
    assert request["scope"] == SCOPE


async def test_many_waiters_share_one_request(entra: EntraServer) -> None:
    credential = Credential()
    entra.hanging.set()
    waiters = [asyncio.ensure_future(credential.token_soon(SCOPE)) for _ in range(20)]
    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(credential.token, SCOPE) for _ in range(4)]
        await asyncio.sleep(0)
        waiters.pop().cancel()
        await asyncio.sleep(0)
        entra.released.set()
        assert {*await asyncio.gather(*waiters), *(other.result() for other in others)} == {"entra-token-1"}
    assert len(entra.requests) == 1


async def test_every_wait_is_limited(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amplifier.azure.credential.LIMIT", 0.05)
    entra.hanging.set()
    credential = Credential()
    with pytest.raises(OperatorError, match=r"no token for https://database\.example within 0 s"):
        await credential.token_soon(SCOPE)
    with pytest.raises(OperatorError, match="within 0 s"):
        credential.token(SCOPE)
    monkeypatch.setattr("amplifier.azure.credential.LIMIT", 15.0)
    entra.hanging.clear()
    assert await credential.token_soon(SCOPE)  # by a request of its own, although the first ones still wait


async def test_token_is_renewed_without_a_caller_that_waits(
    entra: EntraServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplifier.azure.credential._PAUSE", 0.01)
    entra.lifetime = 200  # within the five minutes in which a token is renewed
    credential = Credential()
    assert await credential.token_soon(SCOPE) == "entra-token-1"
    await _until(lambda: len(entra.tokens) > 2)
    entra.hanging.set()
    await _until(lambda: len(entra.requests) > len(entra.tokens))
    assert {credential.token(SCOPE), await credential.token_soon(SCOPE)} == {entra.tokens[-1]}


@pytest.mark.parametrize("status", [400, 403, 429, 500])
async def test_absence_of_the_endpoint_is_survived_until_the_token_expires(
    entra: EntraServer, status: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplifier.azure.credential._PAUSE", 0.01)
    entra.lifetime = 200
    credential = Credential()
    credential.token(SCOPE)
    entra.status = status
    await _until(lambda: "the present one is valid for 3 min" in caplog.text)
    assert credential.token(SCOPE) in entra.tokens
    monkeypatch.setattr("amplifier.azure.credential._PAUSE", 3600)
    now = time.time() + 201
    with monkeypatch.context() as later:
        later.setattr("amplifier.azure.credential.time.time", lambda: now)
        with pytest.raises(OperatorError, match="no identity"):
            credential.token(SCOPE)
        entra.status = 200
        assert credential.token(SCOPE) == entra.tokens[-1] != "entra-token-1"


def test_token_that_this_clock_takes_for_expired_is_used_once(
    entra: EntraServer, caplog: pytest.LogCaptureFixture
) -> None:
    entra.lifetime = -600  # as a clock that is ten minutes ahead of Entra's sees it
    credential = Credential()
    assert [credential.token(SCOPE), credential.token(SCOPE)] == ["entra-token-1", "entra-token-2"]
    assert "has expired by this machine's clock already: set the clock" in caplog.text


def test_refused_token_is_replaced_once_in_a_while(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    credential = Credential()
    assert credential.token(SCOPE) == "entra-token-1"
    assert credential.forget(SCOPE, "a former one")
    assert credential.token(SCOPE) == "entra-token-1"
    assert credential.forget(SCOPE, "entra-token-1")
    assert credential.forget(SCOPE, "entra-token-1")  # of a caller that was refused at the same time
    assert credential.token(SCOPE) == "entra-token-2"
    assert not credential.forget(SCOPE, "entra-token-2")
    assert credential.token(SCOPE) == "entra-token-2"


async def test_refused_token_is_used_again_if_there_is_no_other(entra: EntraServer) -> None:
    credential = Credential()
    credential.token(SCOPE)
    entra.status = 500
    assert credential.forget(SCOPE, "entra-token-1")
    assert {credential.token(SCOPE), await credential.token_soon(SCOPE)} == {"entra-token-1"}
    assert len(entra.requests) > 1
    entra.status = 200
    assert credential.token(SCOPE) == "entra-token-2"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, b"", "managed identity: its endpoint refuses: no identity"),
        (403, b"{}", "managed identity: its endpoint refuses, without a reason"),
        (403, b"", "managed identity: .* no identity"),
        (500, b"", "managed identity: .* no identity"),
        (200, b"<html>", "managed identity: its answer is not JSON"),
        (200, b'{"access_token": "entra-token-1"}', "managed identity: "),
    ],
)
def test_error_says_what_was_tried_and_what_to_do(
    entra: EntraServer, status: int, body: bytes, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entra.status, entra.body = status, body
    monkeypatch.setattr(entra, "answer", lambda _: (status, body or b'{"message": "no identity"}'))
    with pytest.raises(OperatorError, match=words) as raised:
        Credential().token(SCOPE)
    for part in ("workload identity: not configured", "run: az login", "AZURE_CLIENT_ID"):
        assert part in str(raised.value)
    assert "entra-token" not in str(raised.value)


def test_refusal_counts_for_callers_of_the_next_moment(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amplifier.azure.credential._REPEAT", 60)
    entra.status = 400
    credential = Credential()
    for _ in range(3):
        with pytest.raises(OperatorError):
            credential.token(SCOPE)
    assert len(entra.requests) == 1


def test_no_token_is_logged_at_any_level(entra: EntraServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    credential = Credential()
    credential.token(SCOPE)
    credential.forget(SCOPE, "entra-token-1")
    credential.token(SCOPE)
    entra.status = 500
    with pytest.raises(OperatorError):
        credential.token("https://other.example/.default")
    assert "connectionpool" in caplog.text  # the libraries below azure-identity do log
    assert "entra-token" not in caplog.text
    assert HEADER not in caplog.text


def test_log_masks_tokens(entra: EntraServer) -> None:
    credential = Credential()
    assert mask(f"it failed: {credential.token(SCOPE)}") == "it failed: ***"


def test_missing_extra_is_named(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    with pytest.raises(OperatorError, match=r"run: pip install 'amplifier-api\[azure\]'"):
        Credential().token(SCOPE)


def test_wrong_choice_of_credentials_is_named(entra: EntraServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "whatever")
    with pytest.raises(OperatorError, match="AZURE_TOKEN_CREDENTIALS"):
        Credential().token(SCOPE)


def test_clients_of_azure_packages_take_the_credential(entra: EntraServer) -> None:
    from azure.core.credentials import TokenCredential

    credential = Credential()
    assert isinstance(credential, TokenCredential)
    assert credential.get_token_info(SCOPE, options={"tenant_id": "t"}).token == "entra-token-1"
    assert credential.get_token(SCOPE, tenant_id="t", enable_cae=True).token == "entra-token-1"
    assert len(entra.requests) == 1


def test_module_loads_nothing_of_azure() -> None:
    code = "import sys, amplifier.azure.credential as c; c.shared(); sys.exit('azure' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
