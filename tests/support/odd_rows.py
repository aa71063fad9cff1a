"""Rows that a database may hold, generated from its catalog: expired, permanent, huge and odd ones.

They are in every table that the service writes to.

A new table or column is filled without a change here, as long as its checks accept one of the values that are tried.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg

_COLUMNS = """
select
    c.relname as table_name,
    a.attname as name,
    format_type(a.atttypid, null) as type,
    not a.attnotnull as nullable,
    coalesce(
        (
            select true
            from pg_index as i
            where i.indrelid = c.oid and i.indisunique and a.attnum = any(i.indkey)
        limit 1),
        false
    ) as is_key,
    (
        select format('%s.%s', f.confrelid::regclass, b.attname)
        from pg_constraint as f
        inner join pg_attribute as b
            on b.attrelid = f.confrelid and b.attnum = f.confkey[array_position(f.conkey, a.attnum)]
        where f.conrelid = c.oid and f.contype = 'f' and a.attnum = any(f.conkey)
        order by cardinality(f.conkey) desc
        limit 1
    ) as parent,
    array(
        select pg_get_constraintdef(k.oid)
        from pg_constraint as k
        where k.conrelid = c.oid and k.contype = 'c' and a.attnum = any(k.conkey)
    ) as checks
from pg_class as c
inner join pg_attribute as a on a.attrelid = c.oid
where
    c.relkind = 'r'
    and c.relnamespace = 'public'::regnamespace
    and has_table_privilege('amplifier_app', c.oid, 'insert')
    and a.attnum > 0
    and not a.attisdropped
    and a.attidentity = ''
    and a.attgenerated = ''
order by c.relname, a.attnum
"""
_INVOLVED = """
select array_agg(attname::text)
from pg_constraint as k
inner join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = any(k.conkey)
where k.conrelid = %s::regclass and k.conname = %s
"""
_BOUNDS = """
select format('alter table %s disable trigger %I', tgrelid::regclass, tgname)
from pg_trigger
where tgfoid = 'refuse_value'::regproc
union all
select format('alter table %s drop constraint %I', conrelid::regclass, conname)
from pg_constraint
where conname ~ '_(length|size)_check$' and not convalidated
"""
_LITERAL = re.compile(r"'([^']*)'::text")


class Column(NamedTuple):
    """A column as the catalog has it; `parent` is the column that it refers to."""

    table: str
    name: str
    type: str
    nullable: bool
    is_key: bool
    parent: str | None
    checks: list[str]


class Kind(NamedTuple):
    """The values of one kind of rows: SQL expressions by type, in which `n` counts rows."""

    name: str
    count: int
    by_type: dict[str, str]
    has_nulls: bool = False


_TIME, _NUMBER = "timestamp with time zone", "bigint"
KINDS = [
    Kind("expired", 2000, {_TIME: "'1970-01-01'", "date": "'1970-01-01'"}),
    Kind("first", 20, {_TIME: "'-infinity'", "integer": "-2147483648", _NUMBER: "-9223372036854775807 + n"}),
    Kind("last", 20, {_TIME: "'infinity'", "integer": "2147483647", _NUMBER: "9223372036854775807 - n"}),
    Kind("null", 20, {"double precision": "'NaN'", "boolean": "true"}, has_nulls=True),
    Kind(
        "huge",
        3,
        {
            "text": "repeat('probe huge ', 20000)",
            "jsonb": "jsonb_build_object('role', 'user', 'content', repeat('probe ', 40000))",
            "text[]": "array_fill(repeat('x', 1000), array[20])",
            "bytea": "decode(repeat('00', 1000000), 'hex')",
        },
    ),
    Kind(
        "probe-%_'\"\\ \u202e",
        20,
        {
            "text": "e'probe-%_\\'\" \\u00e9 \\u202e'",
            "jsonb": """'{"role": "tool", "send": "maybe", "content": [1e300, {"\\ud83d\\ude00": "probe"}]}'""",
        },
    ),
]
_USUAL = {
    _NUMBER: ["n", "1"],
    "bigint[]": ["'{1}'"],
    "boolean": ["false"],
    "bytea": ["'x'"],
    "bytea[]": ["'{x}'"],
    "date": ["date '2020-01-01'"],
    "double precision": ["0"],
    "integer": ["1"],
    "jsonb": ["'{}'", """'{"role": "user"}'""", "'[]'"],
    "real[]": ["'{1,1}'"],
    "text[]": ["'{x}'"],
    _TIME: ["now()"],
}


def fill(connection: "psycopg.Connection[Any]") -> set[str]:
    """Fills all tables and returns their names. Needs a connection of the owner, in autocommit.

    Removes the bounds of new rows, since rows of earlier releases may exceed them.
    """
    for (statement,) in connection.execute(_BOUNDS).fetchall():
        connection.execute(statement.encode())
    columns: dict[str, list[Column]] = {}
    for row in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(row[0], []).append(Column(*row))
    for kind in KINDS:
        chosen: dict[str, str] = {}
        missing = set(columns)
        while missing:
            ready = {
                table for table in missing if not {_table(one.parent) for one in columns[table]} & missing - {table}
            }
            assert ready, f"tables that refer to each other: {missing}"
            for table in sorted(ready):
                chosen |= _insert(connection, columns[table], kind, chosen)
            missing -= ready
    return set(columns)


def _table(column: str | None) -> str | None:
    return column and column.partition(".")[0]


def _insert(
    connection: "psycopg.Connection[Any]", columns: list[Column], kind: Kind, chosen: dict[str, str]
) -> dict[str, str]:
    """Inserts rows with the first values that the table accepts. Returns the values by column."""
    table, names = columns[0].table, [column.name for column in columns]
    values = [list(_values(column, kind, chosen)) for column in columns]
    tried: set[tuple[int, ...]] = set()
    queue = [tuple(0 for _ in columns)]
    for places in queue:
        taken = [these[place] for these, place in zip(values, places, strict=True)]
        rows = f"select {', '.join(taken)} from generate_series(1, {kind.count}) as n"
        try:
            connection.execute(f"insert into {table} ({', '.join(names)}) {rows} on conflict do nothing".encode())
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
            told = f"{error.diag.constraint_name}: {error}"
            [involved] = connection.execute(_INVOLVED, (table, error.diag.constraint_name)).fetchone() or (None,)
            involved = {*names} & {*(involved or [])} or {*names}
        else:
            return {f"{table}.{name}": value for name, value in zip(names, taken, strict=True)}
        for index, name in enumerate(names):
            following = tuple(place + (index == number) for number, place in enumerate(places))
            if name in involved and following[index] < len(values[index]) and following not in tried:
                tried.add(following)
                queue.append(following)
    raise AssertionError(f"{table} takes no row of the kind {kind.name!r}, teach this module a value: {told}")


def _values(column: Column, kind: Kind, chosen: dict[str, str]) -> Iterator[str]:
    """Yields expressions for a column, the kind's own first."""
    if column.nullable and (kind.has_nulls or column.type == "tsvector"):
        yield "null"
    if column.parent is not None:
        if column.parent in chosen:
            yield chosen[column.parent]
        if column.nullable:
            yield "null"
        return
    name = kind.name.replace("'", "''")
    slug = re.sub("[^a-z0-9]", "", kind.name)
    if column.type in ("text", "character varying"):
        texts = [kind.by_type["text"]] if "text" in kind.by_type and not column.is_key else []
        texts += [f"'{name}-' || n", f"'{slug}-' || n"]
        texts += [f"'{literal}'" for check in column.checks for literal in _LITERAL.findall(check)]
        texts += ["'thing.happened'"]
        texts += [f"md5('{name}' || n) || md5('{name}' || n)"]
        yield from (f"left({text}, 90)" if column.type != "text" else text for text in texts)
    elif column.type in kind.by_type:
        yield kind.by_type[column.type]
    yield from _USUAL.get(column.type, [])
    if column.nullable:
        yield "null"


def age(connection: "psycopg.Connection[Any]") -> None:
    """Makes all times in all rows a year older, so that all expiring rows expire. Needs a superuser's connection."""
    columns: dict[str, list[str]] = {}
    for row in connection.execute(_COLUMNS).fetchall():
        if row[2] == _TIME:
            columns.setdefault(row[0], []).append(f"{row[1]} = {row[1]} - interval '1 year'")
    with connection.transaction():
        connection.execute("set local session_replication_role = replica")  # no triggers
        for table, changes in columns.items():
            connection.execute(f"update {table} set {', '.join(changes)}".encode())
