"""Secrets that are rotated while the service runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from amplifier.configs.encryption import Keyring
from amplifier.secret_references import HELD
from amplifier.setting_sources import load
from tests.conftest import SECRET, Api, assert_problem, serving, token
from tests.support.polling import until

OTHER = "another secret that is long enough as after a rotation"
PROVIDER = {"module": "provider-echo", "config": {"api_key": "sk-1"}}
CONFIG = {"name": "with a key", "config_data": {"bundle": {"name": "x"}, "providers": [PROVIDER]}}


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """A folder with the files of two secrets."""
    HELD.forget()
    (tmp_path / "secret_key").write_text(SECRET)
    (tmp_path / "encryption_key").write_text(SECRET)
    yield tmp_path
    HELD.forget()


@pytest.fixture
async def rotating(dsn: str, files: Path) -> AsyncIterator[Api]:
    """A service that looks at its secrets all the time."""
    environ = {
        "DATABASE_URL": dsn,
        "AUTH_REQUIRED": "true",
        "SECRET_KEY": f"file:{files}/secret_key",
        "CONFIG_ENCRYPTION_KEY": f"file:{files}/encryption_key",
        "SECRETS_REFRESH": "0.01",
        "DATABASE_POOL_MIN_SIZE": "1",
    }
    async with serving(load(environ, env_file="none")) as api:
        yield api


def status_with(api: Api, key: str) -> Callable[[], Any]:
    """Returns a function that requests with a token signed with `key` and returns the status."""

    async def status() -> int:
        headers = {"X-API-Key": api.keys["app"], "Authorization": f"Bearer {token(key, sub='alice')}"}
        api.app.state.authenticator.remembered.clear()
        return (await api.client(headers).get("/configs")).status_code

    return status


async def test_new_secret_key_verifies_and_the_former_one_still_does(rotating: Api, files: Path) -> None:
    await rotating.register("app")
    new, former = status_with(rotating, OTHER), status_with(rotating, SECRET)
    assert (await new(), await former()) == (401, 200)
    (files / "secret_key").write_text(OTHER)

    async def accepted() -> bool:
        return await new() == 200

    await until(accepted)
    assert await former() == 200
    assert await status_with(rotating, "x" * 40)() == 401


async def test_answer_kept_under_the_former_secret_key_is_replayed(rotating: Api, files: Path) -> None:
    admin = await rotating.as_user("root", "admin")
    body, headers = {"app_id": "new", "app_name": "New"}, {"Idempotency-Key": "k"}
    first = await admin.post("/applications", json=body, headers=headers)
    (files / "secret_key").write_text(OTHER)
    secret = rotating.app.state.secret_key

    async def settled() -> bool:
        return secret.texts() == [OTHER, SECRET]

    await until(settled)
    again = await admin.post("/applications", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())


async def test_new_encryption_key_encrypts_and_the_former_one_decrypts(
    rotating: Api, files: Path, sql: Callable[..., list[Any]]
) -> None:
    alice = await rotating.as_user("alice")
    former = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    (files / "encryption_key").write_text(OTHER)
    keyring: Keyring = rotating.app.state.keyring
    newest = Keyring([OTHER])

    async def encrypts() -> bool:
        return keyring.primary == newest.primary

    await until(encrypts)
    later = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    for config_id in (former, later):
        shown = (await alice.get(f"/configs/{config_id}", params={"decrypt": "true"})).json()
        assert shown["config_data"] == CONFIG["config_data"]
    stored = dict(sql("select config_id, config_json from configs"))
    assert newest.holds(stored[later], later)
    assert not newest.holds(stored[former], former)


async def test_key_with_which_the_service_would_not_start_is_refused(
    rotating: Api, files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await rotating.register("app")
    (files / "secret_key").write_text("short")

    async def warned() -> bool:
        await asyncio.sleep(0)
        return "SECRET_KEY must have at least 32 bytes" in caplog.text

    await until(warned)
    assert await status_with(rotating, SECRET)() == 200
    assert "short" not in caplog.text.replace("shorter", "")


async def test_service_without_references_has_no_task_for_them(api: Api) -> None:
    assert not [task for task in asyncio.all_tasks() if "keep_rotating" in repr(task) and not task.done()]
    assert_problem(await api.client().get("/configs"), 401)
