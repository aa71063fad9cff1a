"""Secrets in stored configs are moved to the key that encrypts, beside a service that writes configs."""

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from amplifier.configs.encryption import Keyring
from amplifier.maintenance import reencryption
from amplifier.maintenance.operator_database import MaintenanceError
from amplifier.maintenance.reencryption import Outcome, reencrypt
from tests.conftest import Api
from tests.support.databases import Clone

OLD, BOTH, NEW, LOST = Keyring(["old"]), Keyring(["new", "old"]), Keyring(["new"]), Keyring(["lost"])
CONFIG = {"bundle": {"name": "x"}, "providers": [{"module": "m", "config": {"api_key": "sk-1", "token": 7}}]}
EVERYTHING = "select config_id, version, updated_at, name from configs order by 1"
VERSIONS = "select config_id, version, created_at from config_versions order by 1, 2"
Sql = Callable[..., list[Any]]


def stored(sql: Sql, config_id: str, keyring: Keyring | None, config: Any = CONFIG, context: str = "") -> None:
    """Stores a config as the service does."""
    value = config if keyring is None else keyring.encrypt(config, context or config_id)
    sql(
        "insert into configs (config_id, name, config_json, updated_at) values (%s, %s, %s, '2020-02-02')",
        config_id,
        config_id,
        Jsonb(value),
    )


def moved(dsn: str, keyring: Keyring = BOTH, **options: Any) -> Outcome:
    return reencrypt(dsn, keyring, lambda *_: None, **options)


def of(sql: Sql, config_id: str) -> Any:
    return sql("select config_json from configs where config_id = %s", config_id)[0][0]


def test_secrets_are_moved_and_nothing_else_changes(dsn: str, sql: Sql) -> None:
    stored(sql, "a", OLD)
    sql("update configs set name = 'later' where config_id = 'a'")  # makes a version
    before = sql(EVERYTHING), sql(VERSIONS)
    outcome = moved(dsn)
    assert outcome.moved == {"configs": 1, "config_versions": 1}
    assert (sql(EVERYTHING), sql(VERSIONS)) == before
    assert sql("select action, target_type, details from audit_log") == [
        ("reencrypt_configs", "service", {"moved": {"configs": 1, "config_versions": 1}})
    ]
    assert NEW.decrypt(of(sql, "a"), "a") == CONFIG
    assert NEW.decrypt(sql("select config_json from config_versions")[0][0], "a") == CONFIG


def test_second_run_changes_nothing(dsn: str, sql: Sql) -> None:
    stored(sql, "a", OLD)
    stored(sql, "b", NEW)
    assert moved(dsn).moved == {"configs": 1}
    before = sql("select xmin, config_json from configs order by config_id")
    again = moved(dsn)
    assert again.moved == {}
    assert again.uses["configs"] == {BOTH.primary: 4}
    assert sql("select xmin, config_json from configs order by config_id") == before


def test_run_after_an_interrupted_one_moves_the_rest(dsn: str, sql: Sql) -> None:
    for number in range(4):
        stored(sql, f"c{number}", OLD)

    def stop(_table: str, seen: int, _total: int) -> None:
        if seen == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reencrypt(dsn, BOTH, stop)
    assert moved(dsn).moved == {"configs": 2}


def test_dry_run_counts_keys_and_changes_nothing(dsn: str, sql: Sql) -> None:
    stored(sql, "a", OLD)
    stored(sql, "b", BOTH)
    stored(sql, "c", None)
    before = sql("select xmin from configs order by config_id")
    outcome = moved(dsn, dry_run=True)
    assert outcome.uses == {"configs": {OLD.primary: 2, NEW.primary: 2}, "config_versions": {}}
    assert sql("select xmin from configs order by config_id") == before


def test_undecryptable_secret_is_reported_and_left(dsn: str, sql: Sql) -> None:
    stored(sql, "a", LOST)
    stored(sql, "b", OLD)
    of_a = of(sql, "a")
    outcome = moved(dsn)
    assert (outcome.unreadable, outcome.moved) == (["config a"], {"configs": 1})
    assert outcome.uses["configs"][LOST.primary or b""] == 2
    assert of(sql, "a") == of_a


def test_other_secrets_of_a_row_with_an_undecryptable_one_are_moved(dsn: str, sql: Sql) -> None:
    mixed = {"lost": LOST.encrypt({"token": "x"}, "a"), "known": OLD.encrypt({"token": "y"}, "a")}
    stored(sql, "a", None, mixed)
    outcome = moved(dsn)
    assert (outcome.unreadable, outcome.moved) == (["config a"], {"configs": 1})
    assert of(sql, "a")["lost"] == mixed["lost"]
    assert NEW.decrypt(of(sql, "a"), "a")["known"] == {"token": "y"}


def test_texts_and_numbers_that_are_no_secrets_stay_as_they_are(dsn: str, sql: Sql) -> None:
    secret = OLD.encrypt({"token": "y"}, "a")["token"]
    text = f'{{"n": 1.10000000000000000000001, "t": "enc:plain \\" {secret}", "{secret}": "é", "token": "{secret}"}}'
    sql("insert into configs (config_id, name, config_json) values ('a', 'a', %s::jsonb)", text)
    moved(dsn)
    [(after,)] = sql("select config_json::text from configs")
    assert json.loads(after)["token"] != secret
    assert NEW.decrypt(json.loads(after), "a")["token"] == "y"
    assert after.replace(json.loads(after)["token"], secret) == sql("select %s::jsonb::text", text)[0][0].replace(
        json.loads(after)["token"], secret
    )


def test_copy_of_a_config_is_moved_with_the_id_of_its_original(dsn: str, sql: Sql) -> None:
    stored(sql, "copy", OLD, context="original")
    sql("update configs set copied_from_config_id = 'original'")
    assert moved(dsn).unreadable == []
    assert NEW.decrypt(of(sql, "copy"), "original") == CONFIG


def test_row_that_changes_meanwhile_loses_nothing(dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(sql, "a", OLD)
    change = {**CONFIG, "bundle": {"name": "changed meanwhile"}}
    encrypted, inner = OLD.encrypt(change, "a"), Keyring.moved
    changes = [lambda: sql("update configs set config_json = %s", Jsonb(encrypted))]

    def slow(self: Keyring, text: str, context: str) -> Any:
        found = inner(self, text, context)
        if changes:
            changes.pop()()
        return found

    monkeypatch.setattr(Keyring, "moved", slow)
    assert moved(dsn).busy == []
    assert NEW.decrypt(of(sql, "a"), "a") == change


def test_row_that_stays_locked_is_reported(dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(sql, "a", OLD)
    stored(sql, "b", OLD)
    monkeypatch.setattr(reencryption, "_ATTEMPTS", 1)
    monkeypatch.setattr(reencryption, "_LOCK_TIMEOUT", "10ms")
    with psycopg.connect(dsn) as other:
        other.execute("select from configs where config_id = 'a' for update")
        outcome = moved(dsn)
    assert (outcome.busy, outcome.moved) == (["config a"], {"configs": 1})


def test_version_made_by_the_service_meanwhile_is_moved_too(dsn: str, sql: Sql) -> None:
    """A version is made of a config as it was, and versions are moved last."""
    stored(sql, "a", OLD)

    def change(table: str, seen: int, _total: int) -> None:
        if (table, seen) == ("configs", 0):
            sql("update configs set name = 'changed'")

    reencrypt(dsn, BOTH, change)
    assert moved(dsn, dry_run=True).uses == {"configs": {NEW.primary: 2}, "config_versions": {NEW.primary: 2}}


async def test_service_that_writes_beside_it_keeps_versions(api: Api, dsn: str, sql: Sql) -> None:
    alice = await api.as_user("alice")
    config_id = (await alice.post("/configs", json={"name": "n", "config_data": CONFIG})).json()["config_id"]
    moved(dsn)
    assert (await alice.put(f"/configs/{config_id}", json={"name": "m"})).json()["version"] == 2
    assert sql("select version from config_versions") == [(1,)]
    [(at,)] = sql("select updated_at > created_at from configs")
    assert at


def test_service_role_can_neither_move_nor_skip_versions(clone: Clone, sql: Sql) -> None:
    """It may set what the command sets, and a change of its makes a version nevertheless."""
    stored(sql, "a", OLD)
    with psycopg.connect(clone.dsn, autocommit=True) as service:
        service.execute("set role amplifier_app")
        service.execute("set amplifier.reencrypts = on")
        service.execute("update configs set config_json = '{}'")
    assert sql("select version, updated_at > '2020-02-02' from configs") == [(2, True)]
    as_service = f"{clone.dsn}{'&' if '?' in clone.dsn else '?'}options=-c%20role%3Damplifier_app"
    with pytest.raises(MaintenanceError, match="run it with the login that migrates"):
        moved(as_service)


def test_schema_that_is_behind_is_refused(empty_dsn: str) -> None:
    with pytest.raises(MaintenanceError, match="run amplifier-api migrate"):
        moved(empty_dsn)
