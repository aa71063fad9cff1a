"""The commands and statements of migrations/README.md run as written, on databases of their own."""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from amplifier import paths
from amplifier.schema import check, migrate, rollbacks
from amplifier.schema.rules import LOCK_LIMIT
from tests.support.markdown import blocks, copied, run
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

TEXT = (ROOT / "migrations/README.md").read_text()
SETTINGS = ("DATABASE_URL", "SEARCH_LANGUAGE", "QUERIES_DIR")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout that the commands may change. Programs that run in it use it."""
    return copied(tmp_path)


@pytest.fixture
def logins(server: str) -> Iterator[dict[str, str]]:
    """Other names for the logins of the examples, since logins belong to the whole server."""
    names = {name: f"amplifier_test_{name}_{uuid.uuid4().hex[:8]}" for name in ("api", "ana", "whoever_migrates")}
    yield names
    with psycopg.connect(server, autocommit=True) as connection:
        for name in names.values():
            connection.execute(f"drop role if exists {name}".encode())


def environ_of(checkout: Path) -> dict[str, str]:
    """Returns an environment with the checkout's code and without the settings of the user who runs the tests."""
    return {"PYTHONPATH": str(checkout)} | {name: "" for name in SETTINGS if name in os.environ}


def sql(dsn: str, statements: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statements.encode())
        return cursor.fetchall() if cursor.description else []


def test_commands_that_add_a_column_run(checkout: Path, empty_dsn: str) -> None:
    script = "\n".join(blocks("sh", TEXT)).replace("postgresql://user:password@127.0.0.1/spare", f"'{empty_dsn}'")
    printed = run(script, checkout, environ_of(checkout))
    [made] = (checkout / "migrations").glob("*-sessions-add_archived_at.sql")
    assert f"applied {made.stem}\n" in printed
    assert printed.count(f"applied {made.stem}\n") == 2, "once more after it was taken back"
    assert printed.index(": fill-in: ") < printed.index("not filled in") < printed.index(": unsealed: ")
    assert printed.count(": unsealed: ") == 4, "in both checks, for both files"
    assert printed.endswith("all migrations hold\n")
    assert f"  {made.name}\n" in (checkout / "migrations/applied.sha256").read_text()
    assert migrate.pending(empty_dsn, checkout / "migrations") == []
    assert sql(empty_dsn, "select archived_at from sessions") == []


def test_pipeline_applies_and_rolls_back(checkout: Path, empty_dsn: str) -> None:
    applied, taken_back = blocks("sh pipeline", TEXT)
    address = empty_dsn.replace("postgresql://", "postgresql+psycopg://", 1)

    def shell(script: str) -> str:
        assert "postgresql+psycopg://user:password@host/database" in script
        script = script.replace("postgresql+psycopg://user:password@host/database", f"'{address}'")
        return run(script, checkout, environ_of(checkout))

    listed = [line.split()[:2] for line in shell(applied).splitlines() if line.startswith(("A ", "U "))]
    files = [file for file in (checkout / "migrations").glob("*.sql") if "rollback" not in file.name]
    assert [status for status, _ in listed] == ["A"] * len(files)
    last, everything = taken_back.splitlines()
    shell(last)
    assert migrate.pending(empty_dsn) == [max(file.stem for file in files)]
    shell(everything)
    assert len(migrate.pending(empty_dsn)) == len(files)


def test_expand_and_contract_steps_run(tmp_path: Path, empty_dsn: str, server: str) -> None:
    folder = Path(shutil.copytree(paths.folder("migrations"), tmp_path / "migrations"))
    [expand], [fill], [contract] = (blocks(f"sql {kind}", TEXT) for kind in ("expand", "fill", "contract"))
    keep = expand.partition(";")[2]
    drop = "drop trigger configuration_keep_realm on configuration;\ndrop function configuration_keep_realm();\n"
    write(folder, "configuration add realm", expand, f"{drop}alter table configuration drop column realm;")
    write(folder, "configuration fill realm", fill, "-- transactional: false\nselect null;")
    insert = "insert into configuration (key, value, {0}) values ('{1}', '1', '{1}')"
    migrate.migrate(empty_dsn)
    sql(empty_dsn, insert.format("scope", "before"))
    migrate.known.cache_clear()
    migrate.migrate(empty_dsn, folder)
    sql(empty_dsn, insert.format("scope", "release 0"))
    sql(empty_dsn, insert.format("realm", "release 1"))
    same = "select key from configuration where realm = key and scope = key order by 1"
    assert sql(empty_dsn, same) == [("before",), ("release 0",), ("release 1",)]
    sql(empty_dsn, "update configuration set scope = 'old' where key = 'before'")
    sql(empty_dsn, "update configuration set realm = 'new' where key = 'release 0'")
    changed = "select realm, scope from configuration where key <> 'release 1' order by key"
    assert sql(empty_dsn, changed) == [("old", "old"), ("new", "new")]
    scope = "scope text not null default 'global' constraint configuration_scope_check"
    [(comment,)] = sql(empty_dsn, "select quote_literal(col_description('configuration'::regclass, 3))")
    back = f"alter table configuration add column {scope} check (length(scope) between 1 and 100);\n{keep}"
    back += f"comment on column configuration.scope is {comment};"
    write(folder, "configuration drop scope", contract, back)
    assert check.faults(folder) == []
    assert list(rollbacks.faults(folder, server)) == []
    migrate.migrate(empty_dsn, folder)
    assert sql(empty_dsn, "select realm from configuration where key = 'release 1'") == [("release 1",)]


def test_statements_for_logins_of_roles_run(dsn: str, logins: dict[str, str]) -> None:
    [create], [administrator] = blocks("sql roles", TEXT), blocks("sql administrator", TEXT)
    for name in ("api", "ana"):
        create = create.replace(f"create role {name} ", f"create role {logins[name]} ")
    sql(dsn, create)
    member = f"select pg_has_role('{logins['api']}', 'amplifier_app', 'member')"
    assert sql(dsn, member) == [(True,)]
    sql(dsn, f"create role {logins['whoever_migrates']} login")
    *made, grant = administrator.splitlines()
    assert made == ["create role amplifier_app;", "create role amplifier_readonly;"], "as the migrations do"
    sql(dsn, grant.replace("whoever_migrates", logins["whoever_migrates"]))
    assert sql(dsn, f"select pg_has_role('{logins['whoever_migrates']}', 'amplifier_app', 'member')") == [(True,)]


def test_migrate_creates_login_of_service(checkout: Path, dsn: str) -> None:
    [script] = blocks("sh login", TEXT)
    run(script, checkout, {**environ_of(checkout), "DATABASE_URL": dsn})
    try:
        assert sql(dsn, "select pg_has_role('amplifier_service', 'amplifier_app', 'member')") == [(True,)]
    finally:
        sql(dsn, "drop role amplifier_service")


def test_language_of_search_is_changed(checkout: Path, empty_dsn: str) -> None:
    migrate.migrate(empty_dsn)
    run("\n".join(blocks("sh reindex", TEXT)), checkout, {**environ_of(checkout), "DATABASE_URL": empty_dsn})
    assert sql(empty_dsn, "select search_default_language()") == [("german",)]


def test_all_rules_are_explained() -> None:
    table = TEXT[TEXT.index("| rule |") : TEXT.index("All other rules")]
    source = "".join(file.read_text() for file in (ROOT / "amplifier/schema").glob("*.py"))
    ours = set(re.findall(r'(?:\.fault\(\s*|[Ff]ault\([^"\n]*|, "\.[a-z.]*sql", )"([a-z-]+)"', source))
    assert len(ours) >= 14
    assert {rule for rule in ours if f"`{rule}`" not in table} == set()


def write(folder: Path, title: str, forward: str, rollback: str) -> None:
    """Writes another migration with the statements of a document."""
    file, back = check.new(folder, title)
    depends = file.read_text().splitlines()[0]
    limit = "" if "transactional: false" in forward else f"{LOCK_LIMIT}\n"
    file.write_text(f"{depends}\n{limit}{forward}")
    back.write_text(f"{limit}{rollback}\n")
