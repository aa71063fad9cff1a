"""amplifier-api configs reencrypt, as an operator sees it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from amplifier.configs.encryption import Keyring
from tests.support.service import command

pytestmark = pytest.mark.slow
OLD, NEW = Keyring(["old"]), Keyring(["new"])


def store(sql: Callable[..., list[Any]], config_id: str, keyring: Keyring) -> None:
    config = keyring.encrypt({"bundle": {"name": "x"}, "token": "sk-1"}, config_id)
    sql("insert into configs (config_id, name, config_json) values (%s, 'n', %s)", config_id, Jsonb(config))


def test_keys_are_shown_and_secrets_moved(dsn: str, sql: Callable[..., list[Any]]) -> None:
    environ = {"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": "new,old"}
    store(sql, "a", OLD)
    store(sql, "b", NEW)
    shown = command(environ, "configs", "reencrypt", "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    new, old = (keyring.primary.hex() for keyring in (NEW, OLD) if keyring.primary)
    assert [line.split(maxsplit=3) for line in shown.stdout.splitlines()[-2:]] == [
        [new, "1", "0", "CONFIG_ENCRYPTION_KEY, encrypts"],
        [old, "1", "0", "CONFIG_ENCRYPTION_KEY, a former one"],
    ]
    done = command(environ, "configs", "reencrypt")
    assert (done.returncode, done.stderr) == (0, "")
    assert "encrypted again: 1 configs" in done.stdout
    assert "2/2" in done.stdout, "the progress bar"
    again = command(environ, "configs", "reencrypt")
    assert (again.returncode, again.stderr) == (0, "")
    assert "nothing to do: all secrets are under the key that encrypts" in again.stdout


def test_undecryptable_config_is_named_and_the_status_is_1(dsn: str, sql: Callable[..., list[Any]]) -> None:
    store(sql, "a", OLD)
    done = command({"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": "new"}, "configs", "reencrypt")
    assert done.returncode == 1
    assert "left as it is, no key that is set decrypts it: config a" in done.stdout
    assert "unknown: no key that is set decrypts them" in done.stdout


def test_command_without_a_key_says_what_to_set(dsn: str) -> None:
    done = command({"DATABASE_URL": dsn}, "configs", "reencrypt")
    assert done.returncode == 1
    assert done.stderr == (
        "amplifier-api: there is no key: set CONFIG_ENCRYPTION_KEY or SECRET_KEY to those of the service\n"
    )


def test_command_waits_until_every_process_has_read_a_new_key(
    dsn: str, sql: Callable[..., list[Any]], tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("new,old")
    store(sql, "a", OLD)
    environ = {"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": f"file:{tmp_path}/key", "SECRETS_REFRESH": "0.5"}
    os.utime(tmp_path / "key", (0, time.time() + 60))  # no later than now, whatever the machine's load
    done = command(environ, "configs", "reencrypt")
    assert done.stderr == "the newest key is young: waiting 1 s, until every process has read it\n"
    assert "encrypted again: 1 configs" in done.stdout
