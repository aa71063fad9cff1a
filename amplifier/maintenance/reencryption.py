"""Moves the secrets of stored configs and of their former versions to the key that encrypts, while the service runs."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from amplifier.configs.encryption import Keyring
from amplifier.maintenance.operator_database import Connection, MaintenanceError, connected, note
from amplifier.schema import migrate

_ROWS = 1000  # ids in a page
_ATTEMPTS = 5  # for a row that changes meanwhile or is locked
_LOCK_TIMEOUT = "2s"

Report = Callable[[str, int, int], None]
Row = tuple[Any, ...]


class _Table(NamedTuple):
    """A table with configs, its key and the key before the first row."""

    name: str
    key: tuple[str, ...]
    start: Row


# A version that the service makes of a config meanwhile is as that was: versions come last.
_TABLES = (_Table("configs", ("config_id",), ("",)), _Table("config_versions", ("config_id", "version"), ("", 0)))
_PAGE = SQL(
    "select {key}, strpos(config_json::text, '\"enc:') > 0 from {table} where ({key}) > ({values})"
    " order by {key} limit {rows}"
)
# A copy of a config keeps the encryption of its original, to which the secrets are tied by its id.
_ROW = SQL(
    "select t.config_json::text, coalesce(c.copied_from_config_id, c.config_id)"
    " from {table} as t inner join configs as c on c.config_id = t.config_id where ({row_key}) = ({values})"
)
_SET = SQL("update {table} set config_json = %s::jsonb where ({key}) = ({values}) and config_json = %s::jsonb")


class Outcome:
    """The numbers of secrets under each key by table, of rows that were moved, and the rows that were not."""

    def __init__(self) -> None:
        self.uses: dict[str, Counter[bytes]] = {table.name: Counter() for table in _TABLES}
        self.moved: Counter[str] = Counter()
        self.unreadable: list[str] = []
        self.busy: list[str] = []

    def add(self, table: str, row: str, found: Counter[bytes], unknown: Counter[bytes]) -> None:
        """Counts the secrets of a row."""
        self.uses[table] += found + unknown
        if unknown:
            self.unreadable.append(row)


def reencrypt(dsn: str, keyring: Keyring, report: Report, dry_run: bool = False) -> Outcome:
    """Encrypts all secrets that another key than the first encrypted again, unless `dry_run` only counts them.

    Calls `report` with the table, the rows seen so far and their number. Each row is a transaction, so that a run after
    an interrupted one moves only the others. No version is made and `updated_at` stays. Adds an entry to the audit log
    if it moved any. The login is the one that migrates, because the service's role may not change former versions.
    Raises MaintenanceError.
    """
    if missing := migrate.pending(dsn):
        raise MaintenanceError(f"the database's schema is behind by {len(missing)}: run amplifier-api migrate")
    outcome = Outcome()
    with connected(dsn) as connection:
        connection.execute("set amplifier.reencrypts = on")  # makes no versions
        connection.execute(SQL("set lock_timeout = {}").format(Literal(_LOCK_TIMEOUT)))
        for table in _TABLES:
            for key in _flagged(connection, table, report):
                _move(connection, table, key, keyring, outcome, dry_run)
        if outcome.moved:
            note(connection, "reencrypt_configs", "service", None, {"moved": dict(outcome.moved)})
    return outcome


def _flagged(connection: Connection, table: _Table, report: Report) -> Iterator[Row]:
    """Yields the keys of rows that may have secrets, page by page."""
    row = connection.execute(SQL("select count(*) from {}").format(Identifier(table.name))).fetchone()
    total, seen, position = row[0] if row else 0, 0, table.start
    page = _filled(_PAGE, table, rows=SQL(str(_ROWS)))
    report(table.name, 0, total)
    while rows := connection.execute(page, position).fetchall():
        for *key, may_have in rows:
            seen += 1
            if may_have:
                yield tuple(key)
            report(table.name, seen, max(total, seen))
        position = tuple(rows[-1][:-1])


def _move(connection: Connection, table: _Table, key: Row, keyring: Keyring, outcome: Outcome, dry_run: bool) -> None:
    """Moves one row. Repeats it if somebody changed the row meanwhile."""
    for _ in range(_ATTEMPTS):
        row = connection.execute(_filled(_ROW, table), key).fetchone()
        if row is None:
            return
        text, context = row
        moved = keyring.moved(text, context)
        if moved.text == text or dry_run:
            outcome.add(table.name, _shown(table, key), moved.found, moved.unknown)
            return
        try:
            changed = connection.execute(_filled(_SET, table), (moved.text, *key, text)).rowcount
        except psycopg.errors.LockNotAvailable:
            continue
        if changed:
            counted = keyring.moved(moved.text, context)
            outcome.add(table.name, _shown(table, key), counted.found, counted.unknown)
            outcome.moved[table.name] += 1
            return
    outcome.busy.append(_shown(table, key))


def _filled(statement: SQL, table: _Table, **parts: SQL) -> Composed:
    comma = SQL(", ")
    return statement.format(
        table=Identifier(table.name),
        key=comma.join(map(Identifier, table.key)),
        row_key=comma.join(Identifier("t", name) for name in table.key),
        values=comma.join(SQL("%s") for _ in table.key),
        **parts,
    )


def _shown(table: _Table, key: Row) -> str:
    return f"config {key[0]}" + (f", version {key[1]}" if len(key) > 1 else "")
