"""The rules for the files of a migration that the linter squawk does not have."""

import re
from collections.abc import Iterator

from amplifier.database import placement
from amplifier.schema.scripts import Fault, Script, Statement

LOCK_LIMIT = "set local lock_timeout = '5s';"
TO_FILL_IN = "FILL IN"
_NAME = re.compile(r"(\d{4})-[a-z][a-z0-9_]*-[a-z][a-z0-9_]*\.sql")
_LIMITED = re.compile(r"set\s+local\s+lock_timeout\s*(?:=|to)\s*'(?:[1-9]\d{0,3}ms|[1-9]s)'$", re.IGNORECASE)
_INDEX = re.compile(r"create (?:unique )?index (?:concurrently )?(?:if not exists )?(\w+) on (?:only )?(\w+)")
_CONSTRAINT = re.compile(r"(?<!drop )(?<!validate )\bconstraint (?!if )(\w+)")
_LONG = {  # statements that squawk does not know
    re.compile(r"cluster\b"): "rewrites the table while nobody may read it",
    re.compile(r"vacuum\b"): "works on a table for long, and in no transaction",
    re.compile(r"lock\b"): "locks a table until the end of the transaction",
    re.compile(r"truncate\b"): "waits for everybody who reads the table, and takes all rows",
    re.compile(r"alter table .*\bset (?:logged|unlogged|tablespace|access method)\b"): "rewrites the table",
    re.compile(r"alter (?:table|index) all in tablespace\b"): "moves all tables",
    re.compile(r"refresh materialized view (?!concurrently)"): "lets nobody read the view meanwhile",
    re.compile(r"alter table .*\badd (?:column )?(?:if not exists )?\w+ (?:small|big)?serial\b"): "rewrites the table",
}
_REFERENCES = re.compile(r"\breferences (\w+)|\b(session_id)\b")
_ROWS = re.compile(r"(?:with .*?\b)?(?:update|delete from|merge into|insert into (?=.*\bselect\b)) ?(?:only )?\w+")


def faults(script: Script, before: Script | None) -> Iterator[Fault]:
    """Yields the faults of a migration's file or its rollback's. `before` is the preceding migration, if any."""
    if not script.is_rollback:
        yield from _place(script, before)
    if not script.statements:
        yield script.fault(
            "empty", "has no statement", "write what it does; a rollback with nothing to do: select null;"
        )
        return
    for number, line in enumerate(script.text.splitlines(), 1):
        if TO_FILL_IN in line:
            yield script.fault("fill-in", "is not filled in", f"write what {TO_FILL_IN} stands for", number)
    if script.is_transactional and not _LIMITED.match(script.statements[0].raw):
        problem = "may wait for a lock, and everybody else behind it"
        yield script.fault("lock-timeout", problem, f"begin with: {LOCK_LIMIT}", script.statements[0].first)
    yield from _one_table(script)
    for statement in script.statements:
        for rule in (_concurrently, _again, _long, _rows, _names, _shards):
            yield from rule(script, statement)


def _one_table(script: Script) -> Iterator[Fault]:
    """Yields a fault if one transaction alters two existing tables.

    It would hold the lock of one and wait for the other, and could deadlock with a request that locks them in reverse.
    """
    altered = [one for one in script.statements if one.text.startswith("alter table")]
    changed = [one for one in altered if one.table not in script.created]
    for statement in changed:
        if script.is_transactional and statement.table != changed[0].table:
            remedy = f"a file of its own for {statement.table}"
            yield script.fault("two-tables", "locks two tables that are in use", remedy, statement.first)
            return


def _place(script: Script, before: Script | None) -> Iterator[Fault]:
    name = _NAME.fullmatch(script.path.name)
    if name is None:
        yield script.fault("name", "is not named NNNN-<table>-<act>.sql", "make it with: amplifier-api migrate new")
    elif before is not None and script.path.name[:4] != f"{_number(before) + 1:04}":
        remedy = f"number it {_number(before) + 1:04}, behind {before.path.stem}"
        yield script.fault("number", "does not have the next number", remedy)
    if script.depends != ([before.path.stem] if before else []):
        remedy = f"its one line: -- depends: {before.path.stem}" if before else "take its depends out: it is the first"
        yield script.fault("depends", "does not depend on the one before, and on it alone", remedy)


def _number(script: Script) -> int:
    digits = re.match(r"\d+", script.path.name)
    return int(digits[0]) if digits else 0


def _concurrently(script: Script, statement: Statement) -> Iterator[Fault]:
    """Yields the faults of a statement with `concurrently`, which must be outside a transaction and alone in its file.

    Only a `drop index concurrently if exists` may precede a `create index`: it removes what an interrupted run left.
    """
    if "concurrently" not in statement.text or statement.text.startswith("refresh "):
        return
    if script.is_transactional:
        remedy = "a file of its own with: -- transactional: false"
        yield script.fault("concurrently", "cannot work in a transaction", remedy, statement.first)
    elif created := _INDEX.match(statement.text):
        first = f"drop index concurrently if exists {created[1]}"
        others = [one.text for one in script.statements if one is not statement]
        if others != [first]:
            problem = f"is not alone in its file, or cannot run again when {created[1]} was interrupted"
            yield script.fault("concurrently", problem, f"before it, and nothing else: {first};", statement.first)


def _again(script: Script, statement: Statement) -> Iterator[Fault]:
    if not script.is_transactional and re.match(r"drop index (?:concurrently )?(?!concurrently|if )", statement.text):
        yield script.fault("concurrently", "cannot run again", "drop index concurrently if exists", statement.first)


def _long(script: Script, statement: Statement) -> Iterator[Fault]:
    for pattern, problem in _LONG.items():
        if pattern.match(statement.text) and statement.table not in script.created:
            yield script.fault("long-lock", problem, "do without, or in steps that are short", statement.first)


def _rows(script: Script, statement: Statement) -> Iterator[Fault]:
    """Yields a fault if a transaction changes the rows of an existing table.

    It would keep them locked, and its snapshot open, until all of them are changed.
    """
    if script.is_transactional and _ROWS.match(statement.text) and statement.table not in script.created:
        remedy = "some thousand rows a transaction, as 0016 does, with: -- transactional: false"
        yield script.fault("rows", "changes rows of a table, however many, in one go", remedy, statement.first)


def _names(script: Script, statement: Statement) -> Iterator[Fault]:
    """Yields the faults in names of indexes and constraints. The names of constraints are part of the API."""
    table = statement.table
    if index := _INDEX.match(statement.text):
        if not re.fullmatch(rf"{index[2]}_\w+_idx", index[1]):
            yield script.fault(
                "constraint-name", f"{index[1]} is another name", f"{index[2]}_<column>_idx", statement.first
            )
    elif table is not None and statement.text.startswith(("create", "alter")):
        for name in _CONSTRAINT.findall(statement.text):
            if not re.fullmatch(rf"{table}_(?:pkey|\w+_(?:key|fkey|check|excl))", name):
                remedy = f"{table}_<column>_{{key,fkey,check}}, or {table}_pkey"
                yield script.fault("constraint-name", f"{name} is another name", remedy, statement.first)


def _shards(script: Script, statement: Statement) -> Iterator[Fault]:
    """Yields a fault for a table that belongs to sessions without saying where its rows are stored.

    Where sessions are divided between nodes it would be created without an error, on one node only.
    """
    table = statement.table
    if table is None or script.is_rollback or not statement.text.startswith(("create table", "create unlogged table")):
        return
    named = {name for found in _REFERENCES.findall(statement.text) for name in found}
    if named & {*placement.DISTRIBUTED, "session_id"} and table not in placement.ALL:
        remedy = f"add {table} to DISTRIBUTED, REFERENCE or LOCAL in amplifier/database/placement.py"
        yield script.fault("shards", "belongs to sessions, and no class says on which nodes", remedy, statement.first)
