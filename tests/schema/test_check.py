"""The rules of `amplifier-api migrate check`, which refuse migrations that would block the running service."""

import shutil
from pathlib import Path

import pytest

from amplifier import paths
from amplifier.schema import check
from amplifier.schema.scripts import Fault

LAST = sorted(paths.folder("migrations").glob("*.sql"))[-1].stem
NEXT = f"{int(LAST[:4]) + 1:04}"
LIMIT = "set local lock_timeout = '5s';"
COLUMN, NO_COLUMN = "alter table sessions add column x text;", "alter table sessions drop column x;"
UNLOCKED = "-- transactional: false\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to which tests add files."""
    return Path(shutil.copytree(paths.folder("migrations"), tmp_path / "migrations"))


def write(folder: Path, title: str, forward: str = COLUMN, rollback: str = NO_COLUMN, head: str = "") -> Path:
    """Writes another migration. `head` replaces the lock timeout in both files."""
    file, back = check.new(folder, title)
    depends = file.read_text().splitlines()[0]
    file.write_text(f"{depends}\n-- Why.\n{head or LIMIT}\n{forward}\n")
    back.write_text(f"{head or LIMIT}\n{rollback}\n")
    return file


def told(folder: Path) -> list[str]:
    return [f"{Path(one.file).name}:{one.line}: {one.rule}" for one in check.faults(folder)]


def test_committed_migrations_pass(folder: Path) -> None:
    assert check.faults(folder) == []
    assert list(check.unsealed(folder)) == []


INDEX = "create index concurrently sessions_title_idx on sessions (title);"
AGAIN = "drop index concurrently if exists sessions_title_idx;"
HOLDS = {
    "a column": (COLUMN, NO_COLUMN, ""),
    "an index": (f"{AGAIN}\n{INDEX}", AGAIN, UNLOCKED),
    "a table with everything": (
        "create table things (\n    x text default 'a;b',\n    constraint things_pkey primary key (x),\n"
        "    constraint things_x_check check (x <> '')\n);\ncreate index things_x_idx on things (x);\n"
        "insert into things select 'update sessions';\nupdate things set x = 'b';",
        "drop table things;",
        "",
    ),
    "a table of sessions whose class is known": (
        "create table session_states (\n    session_id text references sessions (session_id)\n);",
        "drop table session_states;",
        "",
    ),
    "a check that is validated later": (
        "alter table sessions add constraint sessions_title_trim_check check (title = trim(title)) not valid;",
        "alter table sessions drop constraint sessions_title_trim_check;",
        "",
    ),
    "a function that changes rows when it is called": (
        "create function f() returns void language sql as $$ update sessions set title = null; $$;",
        "drop function f();",
        "",
    ),
    "another limit": (COLUMN, NO_COLUMN, "set local lock_timeout = '800ms';"),
    "what a comment allows, with a reason": (
        "-- allow ban-drop-column: nothing reads it since the release before\nalter table sessions drop column title;",
        "alter table sessions add column title text;",
        "",
    ),
}


@pytest.mark.parametrize("case", HOLDS)
def test_harmless_migrations_pass(folder: Path, case: str) -> None:
    write(folder, "sessions change something", *HOLDS[case])
    assert check.faults(folder) == []


REFUSED = {
    "adding-required-field": "alter table messages add column x text not null;",
    "adding-field-with-default": "alter table messages add column x uuid default gen_random_uuid();",
    "adding-not-nullable-field": "alter table sessions alter column title set not null;",
    "changing-column-type": "alter table messages alter column seq type numeric;",
    "constraint-missing-not-valid": "alter table messages add constraint messages_seq_big_check check (seq > 0);",
    "adding-foreign-key-constraint": (
        "alter table users add constraint users_last_seen_app_id_fkey foreign key (last_seen_app_id)"
        " references applications (app_id);"
    ),
    "disallowed-unique-constraint": "alter table messages add constraint messages_seq_key unique (seq);",
    "adding-serial-primary-key-field": "alter table messages add constraint messages_pkey primary key (seq);",
    "require-concurrent-index-creation": "create index sessions_title_idx on sessions (title);",
    "require-concurrent-index-deletion": "drop index messages_search_idx;",
    "require-concurrent-reindex": "reindex index messages_search_idx;",
    "ban-drop-column": "alter table sessions drop column title;",
    "ban-drop-table": "drop table streams;",
    "ban-drop-not-null": "alter table sessions alter column status drop not null;",
    "renaming-column": "alter table sessions rename column title to heading;",
    "renaming-table": "alter table sessions rename to meetings;",
    "syntax-error": "alter table sessions ad column x text;",
    "concurrently": INDEX,
    "two-tables": "alter table sessions add column x text;\nalter table messages add column x text;",
    "long-lock": "cluster sessions using sessions_pkey;",
    "rows": "UPDATE Sessions SET title = null;",
    "constraint-name": "alter table sessions add constraint no_title check (title is null) not valid;",
}
MORE = [
    ("long-lock", "alter table streams set logged;"),
    ("long-lock", "alter table sessions set tablespace fast;"),
    ("long-lock", "vacuum full sessions;"),
    ("long-lock", "lock table sessions in access exclusive mode;"),
    ("long-lock", "truncate streams;"),
    ("long-lock", "refresh materialized view everything;"),
    ("long-lock", "alter table sessions add column x bigserial;"),
    ("rows", "delete from public.sessions where title is null;"),
    ("rows", 'insert into "users" (user_id) select owner_user_id from sessions;'),
    ("rows", "with old as (select session_id from sessions) delete from messages using old where true;"),
    ("concurrently", "drop index concurrently if exists messages_search_idx;"),
    ("constraint-name", "create table things (x text constraint has_x check (x <> ''));"),
    ("constraint-name", "create table things (x text);\ncreate index by_x on things (x);"),
    (
        "shards",
        "create table things (x text, constraint things_x_fkey foreign key (x) references sessions (session_id));",
    ),
    ("shards", "create unlogged table things (x text references public.runs);"),
    ("shards", "create table if not exists things (session_id text);"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "statement"), [*REFUSED.items(), *MORE])
def test_long_table_lock_is_refused(folder: Path, rule: str, statement: str) -> None:
    file = write(folder, "sessions change something", f"select 1;\n{statement}", "select null;")
    found = [one for one in check.faults(folder) if one.rule == rule]
    assert {one.file for one in found} == {str(file)}, check.faults(folder)
    assert all(one.problem for one in found)
    assert found[0].line >= 5


def test_comment_disables_rule_for_one_statement(folder: Path) -> None:
    drop = "alter table sessions drop column title;"
    for comment in ("-- allow ban-drop-column:", "-- allow rows: because", "-- allow ban-drop-column"):
        file = write(folder, "sessions drop title", f"{comment}\n{drop}", "select null;")
        assert told(folder) == [f"{file.name}:5: ban-drop-column"]
        file.unlink()
        file.with_suffix(".rollback.sql").unlink()
    file = write(folder, "sessions drop title", f"-- allow ban-drop-column: unused\n{drop}\n{drop}", "select null;")
    assert told(folder) == [f"{file.name}:6: ban-drop-column"]


@pytest.mark.parametrize(
    ("index", "rollback", "line"),
    [
        (INDEX, AGAIN, 4),
        ("create index concurrently if not exists sessions_title_idx on sessions (title);", AGAIN, 4),
        (f"{AGAIN}\n{INDEX}\nselect 1;", AGAIN, 5),
        (f"{AGAIN}\n{INDEX}", "drop index concurrently sessions_title_idx;", 2),
    ],
)
def test_interrupted_index_can_be_created_again(folder: Path, index: str, rollback: str, line: int) -> None:
    file = write(folder, "sessions index title", index, rollback, UNLOCKED.strip())
    assert [one.split(":", 1)[1] for one in told(folder)] == [f"{line}: concurrently"], file.read_text()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (f"-- depends: {LAST}\n", "", "depends"),
        (LAST, "0001-applications-create", "depends"),
        (LAST, f"{LAST} 0001-applications-create", "depends"),
        (f"-- depends: {LAST}\n-- Why.\n{LIMIT}", f"{LIMIT}\n-- depends: {LAST}", "depends"),
        (LIMIT, "select 1;", "lock-timeout"),
        (LIMIT, f"select 1;\n{LIMIT}", "lock-timeout"),
        (LIMIT, "set local lock_timeout = 0;", "lock-timeout"),
        (LIMIT, "set lock_timeout = '5s';", "lock-timeout"),
        ("-- Why.", "-- transactional: false", "rollback"),
    ],
)
def test_each_rule_refuses_its_case(folder: Path, old: str, new: str, rule: str) -> None:
    file = write(folder, "sessions add x")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))
    assert [one.rule for one in check.faults(folder)] == [rule]


def test_names_and_numbers_are_checked(folder: Path) -> None:
    file = write(folder, "sessions add x")
    for name, rule in (
        ("sessions-add_x", "name"),
        (f"{NEXT}-sessions-add-x", "name"),
        ("0999-sessions-add_x", "number"),
    ):
        file.with_suffix(".rollback.sql").rename(folder / f"{name}.rollback.sql")
        file = file.rename(folder / f"{name}.sql")
        assert told(folder) == [f"{name}.sql:1: {rule}"]


def test_duplicate_number_and_python_file_are_refused(folder: Path) -> None:
    file = write(folder, "sessions add x")
    for other in (file, file.with_suffix(".rollback.sql")):
        shutil.copy(other, folder / other.name.replace("add_x", "add_y"))
    second = f"{NEXT}-sessions-add_y.sql"
    assert told(folder) == [f"{second}:1: number", f"{second}:1: depends"]
    (folder / "0999-sessions-add_z.py").write_text("steps = []")
    assert told(folder)[-1] == "0999-sessions-add_z.py:1: name"


def test_missing_rollback_is_refused(folder: Path) -> None:
    file = write(folder, "sessions add x")
    rollback = file.with_suffix(".rollback.sql")
    rollback.write_text("-- nothing to do\n")
    assert told(folder) == [f"{rollback.name}:1: empty"]
    rollback.unlink()
    assert told(folder) == [f"{file.name}:1: rollback"]
    write(folder, "sessions add y").unlink()
    assert [one.split(": ")[1] for one in told(folder)] == ["rollback", "rollback"]


def test_change_of_sealed_file_is_refused(folder: Path) -> None:
    file = write(folder, "sessions add x")
    assert [(Path(one.file).name, one.rule) for one in check.unsealed(folder)] == [
        (f"{file.stem}.rollback.sql", "unsealed"),
        (file.name, "unsealed"),
    ]
    before = (folder / check.SUMS).read_text()
    assert check.seal(folder) == [f"{file.stem}.rollback.sql", file.name]
    sealed = (folder / check.SUMS).read_text()
    assert sealed.startswith(before)
    assert list(check.unsealed(folder)) == []
    file.write_text(file.read_text() + "-- later\n")
    assert told(folder) == [f"{file.name}:1: edited"]
    assert check.seal(folder) == []
    assert (folder / check.SUMS).read_text() == sealed
    file.unlink()
    assert f"{file.name}:1: edited" in told(folder)


def test_sealed_list_has_format_of_sha256sum(folder: Path) -> None:
    (folder / check.SUMS).write_text("0001-applications-create.sql\n")
    with pytest.raises(check.MigrationsError, match=r"applied.sha256:1: is no line of sha256sum"):
        check.faults(folder)


def test_fault_has_place_problem_and_remedy() -> None:
    fault = Fault("migrations/x.sql", 3, "name", "is not named so", "name it")
    assert str(fault) == "migrations/x.sql:3: name: is not named so (name it)"
