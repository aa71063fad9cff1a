"""Secrets of a key vault, through Azure's own client and a server on 127.0.0.1 that answers as a vault does."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.keyvault.secrets._shared import http_challenge_cache

from amplifier import secret_references
from amplifier.azure import key_vault
from amplifier.secret import Secret
from amplifier.secret_references import HELD, MOST_FORMER, Unreadable
from amplifier.setting_sources import load
from amplifier.settings import Settings, SettingsError
from tests.support import vault_server
from tests.support.entra_server import EntraServer
from tests.support.service import LIMIT
from tests.support.vault_server import Vault

OWN = "own-" + "x" * 28  # 32 bytes
OLD, NEW = OWN + "-old", OWN + "-new"
LONG_AGO = 1000.0  # seconds, after which every process has read a version


@pytest.fixture(scope="module")
def vaults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    with vault_server.running(tmp_path_factory.mktemp("vault")) as vault:
        yield vault


@pytest.fixture
def vault(vaults: Vault, entra: EntraServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vault]:
    """An empty vault. Its certificate is trusted, and the process has read no secret yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(vaults.root))
    monkeypatch.setitem(key_vault._ATTEMPTS, "retry_backoff_factor", 0.0)
    monkeypatch.setattr(key_vault, "_LONGEST_WAIT", 0.01)
    http_challenge_cache.clear()  # of the SDK, by address and for the whole process
    HELD.forget()
    vaults.reset()
    yield vaults
    vaults.released.set()
    for thread in threading.enumerate():  # what hung reads on, and must not read from the vault of the next test
        if thread.name == "secrets":
            thread.join(LIMIT)
    HELD.forget()


def settings(vault: Vault, **environ: str) -> Settings:
    return load({"KEY_VAULT_URL": vault.url, "AUTH_REQUIRED": "true", "SECRET_KEY": OWN} | environ)


def refresh() -> None:
    HELD.refresh(lambda *_: None)


def test_secrets_are_read_at_start_with_the_identity(vault: Vault, entra: EntraServer) -> None:
    vault.set("key", NEW)
    vault.set("password", "pass word")
    loaded = settings(vault, SECRET_KEY="keyvault:key", DATABASE_PASSWORD="keyvault:password", DATABASE_HOST="db")
    assert loaded.secret_key == Secret(NEW)
    assert loaded.password == "pass word"
    assert entra.requests[0]["resource"] == vault.resource
    assert set(vault.tokens) <= set(entra.tokens)


def test_newest_version_counts_on_whatever_page_it_is(vault: Vault) -> None:
    vault.set("key", NEW, age=1)
    for age in range(2, 6):
        vault.set("key", f"{OLD}-{age}", age=age)
    assert settings(vault, SECRET_KEY="keyvault:key").secret_key.reveal() == NEW


def test_fixed_version_stays(vault: Vault) -> None:
    version = vault.set("key", OLD, age=1)
    vault.set("key", NEW)
    loaded = settings(vault, SECRET_KEY=f"keyvault:key/{version}")
    vault.read.clear()
    refresh()
    assert loaded.secret_key.reveal() == OLD
    assert vault.read == [], "it never changes, so nothing is read again"


def test_disabled_expired_and_future_versions_do_not_count(vault: Vault) -> None:
    vault.set("key", OLD, age=10)
    vault.set("key", "expired", age=4, exp=int(time.time()) - 2)
    vault.set("key", "disabled", age=3, enabled=False)
    vault.set("key", "of tomorrow", age=2, nbf=int(time.time()) + 86_400)
    assert settings(vault, DATABASE_PASSWORD="keyvault:key").database_password == Secret(OLD)


def test_former_versions_decrypt_and_the_newest_encrypts_once_all_processes_know_it(vault: Vault) -> None:
    vault.set("key", "disabled", age=LONG_AGO + 2, enabled=False)
    vault.set("key", OLD, age=LONG_AGO)
    vault.set("key", NEW, age=1)
    loaded = settings(vault, CONFIG_ENCRYPTION_KEY="keyvault:key")
    assert loaded.encryption_keys == [OLD, NEW]
    assert loaded.config_encryption_key is not None
    assert 100 < loaded.config_encryption_key.seconds_to_settle() <= 120
    vault.secrets["key"][max(vault.secrets["key"])].created -= 130
    HELD.forget()
    assert settings(vault, CONFIG_ENCRYPTION_KEY="keyvault:key").encryption_keys == [NEW, OLD]


def test_former_versions_are_bounded_and_others_read_none(vault: Vault) -> None:
    for age in range(MOST_FORMER + 5):
        vault.set("key", f"{OWN}-{age}", age=LONG_AGO + age)
    loaded = settings(vault, CONFIG_ENCRYPTION_KEY="keyvault:key", DATABASE_PASSWORD="keyvault:key")
    assert loaded.encryption_keys == [f"{OWN}-{age}" for age in range(MOST_FORMER + 1)]
    assert loaded.database_password is not None
    assert loaded.database_password.texts() == [f"{OWN}-0"]


def test_new_version_replaces_text_without_reading_known_ones(vault: Vault) -> None:
    vault.set("key", OLD, age=LONG_AGO)
    loaded = settings(vault, CONFIG_ENCRYPTION_KEY="keyvault:key")
    added = vault.set("key", NEW, age=LONG_AGO - 1)
    vault.read.clear()
    refresh()
    assert loaded.encryption_keys == [NEW, OLD]
    assert [path.partition("?")[0] for path in vault.read if "/versions" not in path] == [f"/secrets/key/{added}"]


def test_disabled_former_version_is_dropped(vault: Vault) -> None:
    former = vault.set("key", OLD, age=LONG_AGO)
    vault.set("key", NEW, age=LONG_AGO - 1)
    loaded = settings(vault, SECRET_KEY="keyvault:key")
    assert loaded.secret_key.recent(LONG_AGO + 60) == [NEW, OLD]
    vault.secrets["key"][former].attributes["enabled"] = False
    refresh()
    assert loaded.secret_key.recent(LONG_AGO + 60) == [NEW]


@pytest.mark.parametrize("fault", ["status", "deleted", "refusal", "credential", "hanging"])
def test_absent_vault_leaves_present_text_and_a_warning(
    vault: Vault, entra: EntraServer, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.set("key", NEW)
    loaded = settings(vault, SECRET_KEY="keyvault:key")
    if fault == "status":
        vault.faults = [503] * 100
    elif fault == "deleted":
        vault.secrets.clear()
    elif fault == "refusal":
        vault.refusal = "ForbiddenByRbac"
    elif fault == "credential":
        vault.faults = [401] * 100
    else:
        monkeypatch.setattr(secret_references, "_LIMIT", 0.05)
        vault.hanging.set()
    refresh()
    if fault == "hanging":
        refresh()
        assert "the read before has not ended yet" in caplog.text
    assert loaded.secret_key.reveal() == NEW
    assert "keyvault:key was not read again, and its present text stays: " in caplog.text
    assert NEW not in caplog.text


def test_busy_vault_is_asked_again_soon(vault: Vault) -> None:
    vault.set("key", NEW)
    vault.faults, vault.retry_after = [429, 503], "3600"
    assert settings(vault, SECRET_KEY="keyvault:key").secret_key.reveal() == NEW


REFUSALS = {
    "no_secret": r"SECRET_KEY refers to the secret absent of https://\S+, which has no version that is enabled",
    "no_version": "which has no such secret or version: set it there, or correct its name",
    "disabled": "which is disabled there: enable it",
    "all_disabled": "which has no version that is enabled and valid now: set a new version",
    "role": "assign it the role Key Vault Secrets User",
    "firewall": "which is behind a firewall that refuses this machine's address",
    "failing": r"which is busy or fails at the moment \(status 500\): try again",
    "token": "which refuses the token of this identity",
    "unreachable": "which cannot be reached: .* Check KEY_VAULT_URL",
    "no_vault": "which did not answer as a key vault does: .* Check KEY_VAULT_URL",
    "not_trusted": "which cannot be reached: .*CERTIFICATE_VERIFY_FAILED",
    "no_identity": "Microsoft Entra gave no token",
    "hanging": "SECRET_KEY was not read within 0 s: is its server reachable?",
    "no_url": "SECRET_KEY refers to a key vault: set KEY_VAULT_URL to its address",
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_start_is_refused_with_setting_and_reason(
    vault: Vault, entra: EntraServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    disabled = vault.set("off", NEW, enabled=False)
    vault.set("key", NEW)
    references = {"no_secret": "absent", "no_version": "key/0123", "disabled": f"off/{disabled}", "all_disabled": "off"}
    environ = {"SECRET_KEY": f"keyvault:{references.get(fault, 'key')}"}
    vault.refusal = {"role": "ForbiddenByRbac", "firewall": "ForbiddenByFirewall"}.get(fault, "")
    vault.faults = {"failing": [500] * 100, "token": [401] * 100}.get(fault, [])
    match fault:
        case "unreachable":
            environ["KEY_VAULT_URL"] = "https://127.0.0.1:1"
        case "no_vault":
            monkeypatch.setattr(Vault, "resource", "https://other.example")
        case "not_trusted":
            monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        case "no_identity":
            entra.status = 400
        case "hanging":
            monkeypatch.setattr(secret_references, "_LIMIT", 0.05)
            vault.hanging.set()
        case "no_url":
            environ["KEY_VAULT_URL"] = ""
    with pytest.raises(SettingsError, match=REFUSALS[fault]) as refused:
        settings(vault, **environ)
    assert str(refused.value).startswith("SECRET_KEY ")
    assert NEW not in str(refused.value)


def test_missing_packages_are_named(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "azure.keyvault.secrets", None)
    with pytest.raises(SettingsError, match=r"SECRET_KEY .* run: pip install 'amplifier-api\[azure\]'"):
        settings(vault, SECRET_KEY="keyvault:key")


@pytest.mark.parametrize("name", ["", "a b", "a/b/c", "a/../b", "x" * 128])
def test_malformed_reference_is_refused_without_showing_it(vault: Vault, name: str) -> None:
    with pytest.raises(SettingsError, match="SECRET_KEY begins with keyvault:, which the name of a secret") as refused:
        settings(vault, SECRET_KEY=f"keyvault:{name}")
    assert not name or f"keyvault:{name}" not in str(refused.value)


def test_no_log_shows_secret_or_token(vault: Vault, entra: EntraServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        vault.set("key", NEW)
        settings(vault, SECRET_KEY="keyvault:key")
        vault.faults = [500]
        refresh()
    assert NEW not in caplog.text
    assert not any(token in caplog.text for token in entra.tokens)


def test_one_start_reads_each_secret_once(vault: Vault) -> None:
    vault.set("key", NEW)
    for _ in range(3):  # as the parser of commands, the application and a test do
        settings(vault, SECRET_KEY="keyvault:key")
    assert len([path for path in vault.read if "/versions" not in path]) == 1


def test_text_that_is_no_reference_needs_no_vault() -> None:
    with pytest.raises(Unreadable):
        HELD.secret("keyvault:key", encrypts=False, vault=None, settling=0)
    assert load({"SECRET_KEY": "keyvaulted"}).secret_key.reveal() == "keyvaulted"
