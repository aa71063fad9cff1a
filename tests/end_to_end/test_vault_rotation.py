"""A service with two workers and secrets from a key vault, whose encryption key is rotated while it serves."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier.configs.encryption import Keyring
from tests.conftest import SECRET, token
from tests.support import entra_server, vault_server
from tests.support.service import command, running_service, wait_until
from tests.support.vault_server import Vault

pytestmark = pytest.mark.slow

OLD, NEW = "old-" + "k" * 28, "new-" + "k" * 28  # 32 bytes
CONFIG = {"name": "n", "config_data": {"bundle": {"name": "x"}, "token": "sk-1"}}
AGE = 3600.0  # seconds; every process has read a version that is as old


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    with vault_server.running(tmp_path) as vault:
        yield vault


@pytest.fixture
def environ(vault: Vault, dsn: str) -> Iterator[dict[str, str]]:
    """Settings with references, and the environment of an identity that may read them."""
    vault.set("database", dsn, AGE)
    vault.set("signing", SECRET, AGE)
    vault.set("encryption", OLD, AGE)
    with entra_server.running() as entra:
        yield {
            **entra.environ,
            "REQUESTS_CA_BUNDLE": str(vault.root),
            "KEY_VAULT_URL": vault.url,
            "DATABASE_URL": "keyvault:database",
            "AUTH_REQUIRED": "true",
            "SECRET_KEY": "keyvault:signing",
            "CONFIG_ENCRYPTION_KEY": "keyvault:encryption",
            "SECRETS_REFRESH": "0.2",
        }


def test_encryption_key_is_rotated_and_secrets_are_moved_without_a_restart(
    vault: Vault, environ: dict[str, str], sql: Callable[..., list[Any]]
) -> None:
    key = command(environ, "applications", "create", "app").stdout.strip()
    headers = {"X-API-Key": key, "Authorization": f"Bearer {token(sub='alice', exp=int(time.time()) + 600)}"}
    with running_service(environ | {"SERVICE_WORKERS": "2"}) as service, ThreadPoolExecutor(1) as pool:
        client = httpx.Client(base_url=service.url, headers=headers, verify=False, timeout=20)
        made = [client.post("/configs", json=CONFIG).json()["config_id"] for _ in range(20)]
        vault.set("encryption", NEW)
        done = pool.submit(command, environ, "configs", "reencrypt")
        while not done.done():  # the service writes beside the command, and reads whatever key is in use
            made.append(client.post("/configs", json=CONFIG).json()["config_id"])
            for config_id in made[::7]:
                shown = client.get(f"/configs/{config_id}", params={"decrypt": "true"}).json()
                assert shown["config_data"] == CONFIG["config_data"], service.output
                assert client.put(f"/configs/{config_id}", json={"name": f"{time.time()}"}).status_code == 200
        assert done.result().returncode == 0, done.result().stdout + done.result().stderr
        newest = Keyring([NEW])

        def all_moved() -> bool:
            command(environ, "configs", "reencrypt")
            rows = sql("select config_id, config_json from configs")
            return all(newest.decrypt(config, config_id) == CONFIG["config_data"] for config_id, config in rows)

        wait_until(all_moved, 30, lambda: service.output)
        for version in list(vault.secrets["encryption"])[:-1]:
            vault.secrets["encryption"][version].attributes["enabled"] = False
        vault.refusal = "ForbiddenByRbac"  # the vault is away; the service stays
        for config_id in made:
            shown = client.get(f"/configs/{config_id}", params={"decrypt": "true"}).json()
            assert shown["config_data"] == CONFIG["config_data"]
        wait_until(lambda: "its present text stays" in service.output, 10, lambda: service.output)
        assert not any(secret in service.output for secret in (OLD, NEW, SECRET, *vault.tokens))
    refused = command(environ, "applications", "keys", "app")
    assert refused.returncode == 1
    assert "assign it the role Key Vault Secrets User" in refused.stderr
