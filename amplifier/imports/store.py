"""Writes sessions with COPY, as the service's role, and finds those that are there.

Several sessions are one transaction. A long session is several; each leaves a beginning that the next import continues.
Search entries come from the trigger that serves every insert.
"""

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from amplifier import libpq
from amplifier.errors import OperatorError, one_line
from amplifier.imports import statements
from amplifier.imports.batch import Target
from amplifier.live.notifications import changed_payloads

APP = "amplifier-api"  # created_by_app_id of imported sessions, and author_app_id of their messages
_PER_ROW = 200  # lines, at most
_ROW_BYTES = 400_000  # of lines in a row, unless it is one line
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Connection = psycopg.Connection[Any]


class ImportFailed(OperatorError):
    """Raised when the database refuses an import. The message says why."""


class Known(NamedTuple):
    """An imported session, as it was at the last import."""

    session_id: str
    external_id: str
    lines: int
    digest: str
    title: str | None
    is_redacted: bool

    @classmethod
    def of(cls, target: Target) -> "Known":
        """Returns a target as it will be found."""
        about = (target.session_id, target.external_id, target.digest.lines, target.digest.text())
        return cls(*about, target.session.title, target.is_redacted)


class Refused(NamedTuple):
    """A message that the database refuses, and the reason."""

    target: Target
    number: int
    reason: str


@contextlib.contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """Yields a connection that works as the service's role. Raises ImportFailed for every error of PostgreSQL."""
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statements.ROLE)
            connection.execute("set timezone to 'UTC'")
            connection.execute("set lock_timeout to '10s'")
            connection.execute("set statement_timeout to 0")
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise ImportFailed("the database's schema is behind: run amplifier-api migrate") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ImportFailed(f"{one_line(error)}: use the service's login, or grant amplifier_app to this one") from error
    except psycopg.errors.LockNotAvailable as error:
        raise ImportFailed("another import for this user is running, or a session is locked: run it again") from error
    except psycopg.OperationalError as error:
        raise ImportFailed(f"the database cannot be reached: {one_line(error)}") from error
    except psycopg.Error as error:
        raise ImportFailed(f"the database refused: {one_line(error)}") from error


class Store:
    """The sessions of one owner."""

    def __init__(self, connection: Connection, user_id: str, config: str | None) -> None:
        """Raises ImportFailed if the user has no config of this name or id."""
        self._connection, self.user_id = connection, user_id
        self._config = self._config_of(config) if config else (None, None)

    def _config_of(self, config: str) -> tuple[str, int]:
        row = self._connection.execute(
            "select config_id, version from configs where user_id = %s and (config_id = %s or name = %s)"
            " order by config_id = %s desc, created_at limit 1",
            (self.user_id, config, config, config),
        ).fetchone()
        if row is None:
            raise ImportFailed(f"{self.user_id} has no config {config}: name one that GET /configs lists for this user")
        return row[0], row[1]

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Makes other imports for the same user wait, or fail after ten seconds."""
        self._connection.execute(statements.LOCK, (self.user_id,))
        try:
            yield
        finally:
            with contextlib.suppress(psycopg.Error):
                self._connection.execute(statements.UNLOCK, (self.user_id,))

    def note(self, details: dict[str, int]) -> None:
        """Adds an entry about the import to the audit log."""
        self._connection.execute(statements.NOTED, (APP, APP, self.user_id, Jsonb(details)))

    def known(self, external_id: str) -> list[Known]:
        """Returns the imported sessions of a key: the one that was read first, and those whose past was rewritten."""
        rows = self._connection.execute(
            statements.KNOWN, {"app": APP, "user": self.user_id, "id": external_id}
        ).fetchall()
        return [Known(*row) for row in rows]

    def by_key(self, external_id: str) -> str | None:
        """Returns the session that has a key."""
        found: str | None = self._value(statements.BY_KEY, (APP, self.user_id, external_id))
        return found

    def link(self) -> None:
        """Links sessions with their parents and with what they were forked from, where these came later."""
        for statement in (statements.LINKED, statements.FORK_LINKED):
            self._connection.execute(statement, {"app": APP, "user": self.user_id})

    @contextlib.contextmanager
    def lines(self, session_id: str) -> Iterator[Iterator[tuple[bytes | None, int | None]]]:
        """Yields an iterator over the stored lines of a session with the numbers of their messages."""
        with self._connection.transaction(), self._connection.cursor("origin_lines", binary=True) as cursor:
            cursor.itersize = 20
            cursor.execute(
                "select lines, message_seqs from session_origin_lines where session_id = %s order by first_line",
                (session_id,),
            )
            yield (pair for lines, seqs in cursor for pair in zip(lines, seqs, strict=True))

    def write(self, targets: Sequence[Target]) -> list[Refused]:
        """Stores what the targets hold, and empties them. Messages that the database refuses become mere lines.

        Returns those messages.
        """
        try:
            self._write(targets)
            return []
        except (psycopg.DataError, psycopg.IntegrityError):
            refused = [one for target in targets for one in self._refused(target)]
            if not refused:
                raise
            self._write(targets)
            return refused
        finally:
            for target in targets:
                target.wrote()

    def _write(self, targets: Sequence[Target]) -> None:
        with self._connection.transaction():
            new = [target for target in targets if target.is_new]
            self._insert(new)
            self._number(targets)
            self._copy_messages(targets)
            self._copy_lines(targets)
            added = [target for target in targets if target.added]
            if added:
                arguments = {
                    "app": APP,
                    "ids": [target.session_id for target in added],
                    "after": [target.after for target in added],
                    "last": [target.after + target.added for target in added],
                    "newest": [target.newest for target in added],
                }
                self._connection.execute(statements.COUNTED, arguments)
            self._describe(targets)
            if new:
                self._connection.execute(statements.USER, (self.user_id, APP, len(new)))

    def _insert(self, new: Sequence[Target]) -> None:
        if not new:
            return
        config_id, version = self._config
        rows = []
        for target in new:
            # earlier than its messages: the statement that counts them sets it, and no trigger then does
            updated_at = _BEGINNING if target.added or target.copies_from else target.created_at
            ids = (target.session_id, target.external_id, config_id, version, self.user_id, APP, APP)
            about = (target.session.title, Jsonb(target.tags), Jsonb(target.metadata), target.created_at, updated_at)
            rows.append((*ids, *about, target.forked_from, target.forked_at, target.parent_id))
        self._copy(statements.SESSIONS, statements.SESSION_TYPES, rows)
        self._copy(
            statements.PARTICIPANTS,
            ["text", "text", "text", "timestamptz", "timestamptz", "int8"],
            [
                (one.session_id, self.user_id, "owner", one.created_at, one.newest or one.created_at, one.read_seq)
                for one in new
            ],
        )
        for target in new:
            if target.copies_from is not None:
                arguments = {"id": target.copies_from, "seq": target.forked_at, "new": target.session_id}
                self._connection.execute(statements.FORKED, arguments)
                self._connection.execute(statements.FORK_COUNTED, arguments)

    def _number(self, targets: Sequence[Target]) -> None:
        """Locks the sessions and takes the numbers after their last ones."""
        rows = self._connection.execute(statements.LOCKED, ([target.session_id for target in targets],)).fetchall()
        last = dict(rows)
        for target in targets:
            if target.session_id not in last:
                raise ImportFailed(f"session {target.session_id} was deleted meanwhile: run it again")
            target.after = last[target.session_id]

    def _copy_messages(self, targets: Sequence[Target]) -> None:
        statement, types = statements.MESSAGES, ["text", "int8", "jsonb", "text", "text", "timestamptz"]
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for target in targets:
                for seq, message, created_at in target.messages():
                    copy.write_row(
                        (target.session_id, seq, Jsonb(message, dumps=_as_it_is), self.user_id, APP, created_at)
                    )

    def _copy_lines(self, targets: Sequence[Target]) -> None:
        rows: list[tuple[Any, ...]] = []
        for target in targets:
            for numbers, seqs, lines in target.rows(_PER_ROW, _ROW_BYTES):
                rows.append((target.session_id, numbers[0], numbers, seqs, lines))
        self._copy(statements.LINES, ["text", "int8", "int8[]", "int8[]", "bytea[]"], rows)

    def _describe(self, targets: Sequence[Target]) -> None:
        """Stores what the files say about the sessions. A title that was given in the service stays."""
        with self._connection.cursor() as cursor:
            cursor.executemany(statements.ORIGIN, [target.origin() for target in targets])
        for target in targets:
            if target.is_new:
                continue
            if target.session.title != target.former_title:
                self._connection.execute(
                    statements.RENAMED, (target.session.title, target.session_id, target.former_title)
                )
            described = {
                "id": target.session_id,
                "tags": Jsonb(target.tags),
                "metadata": Jsonb(target.metadata),
            }
            self._connection.execute(statements.DESCRIBED, described)

    def seq_of_line(self, session_id: str, line: int) -> int:
        """Returns the number of the last message that comes from one of the lines up to `line`."""
        return int(self._value(statements.SEQ_OF_LINE, {"id": session_id, "line": line}))

    def last_time(self, session_id: str, seq: int | None = None) -> datetime | None:
        """Returns the time of the last message of a session, or of the last one up to a number."""
        found: datetime | None = self._value(statements.LAST_TIME, (session_id, seq, seq))
        return found

    def announce(self, session_ids: Sequence[str]) -> None:
        """Wakes the followers of sessions that grew, in all processes of the service."""
        for payload in changed_payloads(session_ids):
            self._connection.execute("select announce(%s)", (payload,))

    def _refused(self, target: Target) -> Iterator[Refused]:
        """Tries each message on its own, and makes those that the database refuses mere lines."""
        session_id = uuid.uuid4().hex
        for number, message in target.candidates():
            try:
                with self._connection.transaction(force_rollback=True):
                    self._copy(
                        "copy sessions (session_id, owner_user_id, created_by_app_id) from stdin (format binary)",
                        ["text", "text", "text"],
                        [(session_id, self.user_id, APP)],
                    )
                    row = (session_id, 1, Jsonb(message, dumps=_as_it_is), self.user_id, APP, _BEGINNING)
                    self._copy(statements.MESSAGES, ["text", "int8", "jsonb", "text", "text", "timestamptz"], [row])
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                target.refuse(number)
                yield Refused(target, number, _reason(error))

    def _copy(self, statement: LiteralString, types: list[str], rows: list[tuple[Any, ...]]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)

    def _value(self, statement: LiteralString, arguments: Any) -> Any:
        row = self._connection.execute(statement, arguments).fetchone()
        return row[0] if row else None


def _as_it_is(text: Any) -> Any:
    return text


_WORDS = {
    "messages_size_check": "as a message it would have more than 16 MB",
    "messages_message_depth_check": "it is nested deeper than 64 levels",
    "messages_message_role_check": "its role is no text of 1 to 64 characters",
}


def _reason(error: psycopg.Error) -> str:
    return _WORDS.get(error.diag.constraint_name or "", f"the database refuses it: {error.diag.message_primary}")
