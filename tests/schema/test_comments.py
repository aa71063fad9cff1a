"""Every table, column, view and function has a comment for DBAs, and setting them holds up nobody."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from amplifier import paths

Sql = Callable[..., list[Any]]
LIMIT = 500  # characters
# each as the statement that gives it a comment, and the comment that it has
COMMENTS = """
    with ours as (
        select oid, relname, relkind
        from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
            and not relispartition and relname not like '%%yoyo%%'
    )
    select format('comment on %%s %%s', case when relkind in ('v', 'm') then 'view' else 'table' end, relname),
        obj_description(oid, 'pg_class')
    from ours
    union all
    select format('comment on column %%s.%%s', relname, attname), col_description(oid, attnum)
    from ours join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
    union all
    select format('comment on function %%s', p.oid::regprocedure), obj_description(p.oid, 'pg_proc')
    from pg_proc as p
    where pronamespace = 'public'::regnamespace
        and not exists (select from pg_depend where objid = p.oid and deptype = 'e')
    order by 1
"""


def comments(sql: Sql) -> dict[str, str | None]:
    """Returns the comments by the statements that set them."""
    return dict(sql(COMMENTS.replace("%%", "%")))


def test_every_table_column_view_and_function_has_a_comment(sql: Sql) -> None:
    lacking = [f"{statement} is '...';" for statement, comment in comments(sql).items() if not comment]
    assert lacking == [], "say in the migration that makes it what it holds, in which unit, and what writes it"


def test_objects_without_a_comment_are_found(sql: Sql) -> None:
    sql("create table bare (one text); create view bare2 as select 1 as two")
    sql("create function bare() returns int language sql return 1")
    sql("alter table messages add column added text")
    lacking = {statement for statement, comment in comments(sql).items() if not comment}
    assert lacking == {
        "comment on column bare.one",
        "comment on column bare2.two",
        "comment on column messages.added",
        "comment on function bare()",
        "comment on table bare",
        "comment on view bare2",
    }


def test_comments_are_short_and_name_things(sql: Sql) -> None:
    known = {statement: comment or "" for statement, comment in comments(sql).items()}
    assert len(known) > 250
    assert {statement for statement, comment in known.items() if len(comment) > LIMIT} == set()
    openings = ("what ", "who ", "whom ", "whoever ", "how ", "when ", "where ", "whether ", "which ", "that ")
    assert {one for one, comment in known.items() if comment.lower().startswith(openings)} == set()
    functions = {one: comment for one, comment in known.items() if one.startswith("comment on function")}
    verbs = ("Trigger: ", "Gives ", "Indexes ", "Locks ", "Merges ", "Replaces ", "Returns ", "Sends ")
    assert {one for one, comment in functions.items() if not comment.startswith(verbs)} == set()


@pytest.mark.parametrize("kind", ["tables", "functions"])
def test_setting_comments_holds_up_no_reader_or_writer(dsn: str, sql: Sql, kind: str) -> None:
    [file] = paths.folder("migrations").glob(f"*-{kind}-comment.sql")
    statements = file.read_text()
    assert "set local lock_timeout" in statements
    for name in ("search_estimate", "search_matches"):  # they have another form with more arguments since
        [(first,)] = sql(
            "select oid::regprocedure::text from pg_proc where proname = %s order by pronargs limit 1", name
        )
        statements = statements.replace(f"comment on function {name} is", f"comment on function {first} is")
    with psycopg.connect(dsn) as migration:
        migration.execute(statements.encode())
        sql("set lock_timeout = '1s'")
        sql("insert into users (user_id) values ('u'); update users set metadata = '{}'; delete from users")
        assert sql("select count(*) from messages, sessions, usage_by_day") == [(0,)]
        modes = sql(
            "select distinct mode from pg_locks where pid = %s and locktype = 'relation' and relation >= 16384",
            migration.info.backend_pid,
        )
        migration.rollback()
    assert {mode for (mode,) in modes} <= {"ShareUpdateExclusiveLock", "AccessShareLock"}
