"""`amplifier-api migrate new` and `check`: what holds the service up or cannot be taken back is refused."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from amplifier import migrations, schema
from tests.service import command

LAST = sorted(schema.share("migrations").glob("*.sql"))[-1].stem
LIMIT = "set local lock_timeout = '5s';"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to be added to."""
    return Path(shutil.copytree(schema.share("migrations"), tmp_path / "migrations"))


def write(folder: Path, title: str, forward: str, rollback: str, transactional: bool = True) -> Path:
    """Another migration."""
    file, back = migrations.new(folder, title)
    depends = file.read_text().splitlines()[0]
    begin = f"-- Why.\n{LIMIT}\n" if transactional else "-- transactional: false\n-- Why.\n"
    file.write_text(f"{depends}\n{begin}{forward}\n")
    back.write_text(f"{begin}{rollback}\n")
    return file


def told(folder: Path, server: str) -> list[str]:
    return [f"{Path(one.file).name}:{one.line}: {one.problem}" for one in migrations.check(folder, server)]


def test_what_is_there_holds(folder: Path, server: str) -> None:
    assert told(folder, server) == []
    assert list(migrations.unsealed(folder)) == []
    subprocess.run(["sha256sum", "--check", "--quiet", migrations.SUMS], cwd=folder, check=True)


def test_new_writes_skeletons_that_do_not_pass(folder: Path, server: str) -> None:
    file, rollback = migrations.new(folder, "sessions add archived_at")
    assert file.name == f"{int(LAST[:4]) + 1:04}-sessions-add_archived_at.sql"
    assert file.read_text().startswith(f"-- depends: {LAST}\n")
    assert LIMIT in file.read_text()
    problems = told(folder, server)
    assert f"{file.name}:1: is not filled in" in problems
    assert f"{rollback.name}:1: is not filled in" in problems
    second, _ = migrations.new(folder, "sessions index archived_at")
    assert second.read_text().startswith(f"-- depends: {file.stem}\n")
    assert int(second.name[:4]) == int(file.name[:4]) + 1


def test_the_first_migration_depends_on_none(tmp_path: Path) -> None:
    file, _ = migrations.new(tmp_path, "things create")
    assert file.name == "0001-things-create.sql"
    assert "depends" not in file.read_text()


@pytest.mark.parametrize("title", ["", "sessions", "Sessions add x", "sessions add-x", "../x add y", "sessions  add"])
def test_new_refuses_other_titles(folder: Path, title: str) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(migrations.MigrationsError, match="in lower case, like"):
        migrations.new(folder, title)
    assert sorted(folder.iterdir()) == before


def test_new_needs_a_folder(tmp_path: Path) -> None:
    with pytest.raises(migrations.MigrationsError, match="there is no such folder"):
        migrations.new(tmp_path / "missing", "sessions add x")


def test_what_adds_and_takes_back_holds_until_it_is_sealed_for_good(folder: Path, server: str) -> None:
    column = "alter table sessions add column archived_at timestamptz;"
    file = write(folder, "sessions add archived_at", column, "alter table sessions drop column archived_at;")
    index = "drop index concurrently if exists sessions_archived_at_idx;\n\n"
    index += "create index concurrently sessions_archived_at_idx on sessions (archived_at);"
    write(folder, "sessions index archived_at", index, "drop index concurrently sessions_archived_at_idx;", False)
    assert told(folder, server) == []
    assert len(list(migrations.unsealed(folder))) == 4
    before = (folder / migrations.SUMS).read_text()
    assert migrations.seal(folder)[:2] == [f"{file.stem}.rollback.sql", file.name]
    assert (folder / migrations.SUMS).read_text().startswith(before)
    assert list(migrations.unsealed(folder)) == []
    file.write_text(file.read_text() + "-- later\n")
    assert f"{file.name}:1: was edited, renamed or removed after it was applied" in told(folder, server)
    assert migrations.seal(folder) == [], "sealing changes no line"
    assert f"{file.name}:1: was edited, renamed or removed after it was applied" in told(folder, server)


DROP = "alter table sessions drop column archived_at;"
REFUSED = {
    "an index that locks out writers": ("create index sessions_title_idx on sessions (title);", "require-concurrent"),
    "a rewrite": ("alter table messages alter column seq type numeric;", "changing-column-type"),
    "a column that everybody waits for": ("alter table messages add column x text not null;", "adding-required-field"),
    "a volatile default": (
        "alter table messages add column x uuid default gen_random_uuid();",
        "adding-field-with-default",
    ),
    "a constraint that reads all rows": (
        "alter table messages add constraint messages_seq_more_check check (seq > 0);",
        "constraint-missing-not-valid",
    ),
    "a foreign key that reads all rows": (
        "alter table messages add constraint messages_author_user_id_fkey foreign key (author_user_id)"
        " references users (user_id);",
        "foreign-key|not-valid",
    ),
    "a column that becomes required": ("alter table sessions alter column title set not null;", "not-nullable"),
    "another name": ("alter table sessions rename column title to heading;", "renaming-column"),
    "a column that is gone for the release before": ("alter table sessions drop column title;", "ban-drop-column"),
    "an index in a transaction": (
        "create index concurrently sessions_title_idx on sessions (title);",
        "ban-concurrent-index-creation-in-transaction",
    ),
    "a table that is gone": ("drop table streams;", "ban-drop-table"),
    "an error of syntax": ("alter table sessions ad column x text;", "syntax-error"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_locks_a_table_for_long_is_refused(folder: Path, server: str, case: str) -> None:
    statement, rule = REFUSED[case]
    file = write(folder, "sessions change something", statement, "select 1;")
    found = [one for one in migrations.check(folder, server) if one.file == str(file)]
    assert found, "nothing was refused"
    assert any(any(part in one.problem for part in rule.split("|")) for one in found), found


def test_an_index_that_was_interrupted_must_not_be_in_the_way(folder: Path, server: str) -> None:
    index = "create index concurrently sessions_title_idx on sessions (title);"
    file = write(folder, "sessions index title", index, "drop index concurrently sessions_title_idx;", False)
    assert f"{file.name}:1: cannot run again when sessions_title_idx was interrupted" in told(folder, server)


def test_a_rollback_has_to_be_there_and_right(folder: Path, server: str) -> None:
    column = "alter table sessions add column archived_at timestamptz;"
    file = write(folder, "sessions add archived_at", column, "select 1;")
    rollback = file.with_suffix(".rollback.sql")
    wrong = f"{rollback.name}:1: leaves another schema than there was before"
    assert told(folder, server) == [wrong]
    rollback.write_text(f"{LIMIT}\nalter table sessions drop column archived_at;\ndrop view usage_by_user;\n")
    assert told(folder, server) == [wrong]
    rollback.write_text("-- nothing to do\n")
    assert f"{rollback.name}:1: is missing or empty" in told(folder, server)
    rollback.unlink()
    assert f"{rollback.name}:1: is missing or empty" in told(folder, server)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (f"-- depends: {LAST}\n", "", "does not depend on the one before, and it alone"),
        (LAST, "0001-applications-create", "does not depend on the one before, and it alone"),
        (LIMIT, "select 1;", "may wait for a lock, and make everybody wait"),
        ("-- Why.", "-- transactional: false", "is transactional when the migration is not, or not when it is"),
    ],
)
def test_the_house_has_rules(folder: Path, server: str, old: str, new: str, problem: str) -> None:
    column = "alter table sessions add column archived_at timestamptz;"
    file = write(folder, "sessions add archived_at", column, "alter table sessions drop column archived_at;")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert any(one.endswith(f": {problem}") for one in told(folder, server))


def test_names_and_numbers_are_checked(folder: Path, server: str) -> None:
    column, back = "alter table sessions add column x text;", "alter table sessions drop column x;"
    file = write(folder, "sessions add x", column, back)
    for name, problem in (("sessions-add_x", "is not named"), ("0099-sessions-add_x", "does not have the next number")):
        renamed = file.rename(folder / f"{name}.sql")
        assert any(one.startswith(f"{name}.sql:1: {problem}") for one in told(folder, server)), told(folder, server)
        file = renamed


def test_the_commands(folder: Path, server: str) -> None:
    environ = {"DATABASE_URL": server}
    made = command(environ, "migrate", "new", "sessions add archived_at", "--migrations", str(folder))
    assert made.returncode == 0, made.stderr
    file, rollback = map(Path, made.stdout.splitlines())
    refused = command(environ, "migrate", "check", "--json", "--seal", "--migrations", str(folder))
    assert refused.returncode == 1, refused.stderr
    findings = json.loads(refused.stdout)["findings"]
    assert {"file", "line", "query", "problem", "remedy"} == set(findings[0])
    assert str(file) in {one["file"] for one in findings}
    assert file.name not in (folder / migrations.SUMS).read_text(), "what does not hold is not sealed"
    depends = file.read_text().splitlines()[0]
    file.write_text(f"{depends}\n{LIMIT}\nalter table sessions add column archived_at timestamptz;\n")
    rollback.write_text(f"{LIMIT}\nalter table sessions drop column archived_at;\n")
    unsealed = command(environ, "migrate", "check", "--migrations", str(folder))
    assert unsealed.returncode == 1
    assert "amplifier-api migrate check --seal" in unsealed.stdout
    sealed = command(environ, "migrate", "check", "--seal", "--migrations", str(folder))
    assert (sealed.returncode, sealed.stdout) == (0, "all migrations hold\n"), sealed.stderr
    wrong = command(environ, "migrate", "new", "sessions", "--migrations", str(folder))
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (1, False)


def test_what_is_missing_is_named(folder: Path, server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(migrations.MigrationsError, match="pip install squawk-cli"):
        migrations.check(folder, server)


def test_a_login_that_may_make_no_database_is_told_so(folder: Path) -> None:
    with pytest.raises(schema.OperatorError, match="the login needs createdb"):
        migrations.check(folder, "postgresql://nobody@127.0.0.1:1/nowhere")
