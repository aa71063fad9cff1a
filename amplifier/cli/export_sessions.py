"""amplifier-api export: writes the sessions of a user into a folder or a ZIP file, in the format of another tool."""

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from amplifier.cli.target_database import connected, opened
from amplifier.errors import OperatorError
from amplifier.exports.source import Exported, FormatName, Line
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.exports.formats import Document
    from amplifier.exports.origin import Origin
    from amplifier.exports.targets import Target
    from amplifier.queries.registry import Queries

_PAGE, _PAGE_BYTES = 1000, 4 * 1024 * 1024
_LINE_ROWS = 20  # of an imported file, with up to 200 lines each
_SESSIONS = 1000  # a page of the list
_STATUSES = ("active", "completed", "failed", "cancelled")
_FOUND = 100  # a page of a search
Report = Callable[[int, int], None]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "export",
        help="write a user's sessions into a folder or a ZIP file",
        description="Writes all sessions that a user may export. A second run writes only what has changed since.",
    )
    parser.add_argument("--output", metavar="PATH", type=Path, required=True, help="a folder, or a file ending in .zip")
    parser.add_argument("--format", choices=get_args(FormatName), default="jsonl", help="default: jsonl")
    parser.add_argument("--user", metavar="ID", help="the user_id; needed unless authentication is off")
    parser.add_argument("--q", metavar="TEXT", help="only sessions in which this is found")
    parser.add_argument("--tag", metavar="KEY:VALUE", action="append", help="only with this tag; repeatable")
    parser.add_argument("--config", metavar="ID", help="only of this config")
    parser.add_argument("--status", choices=_STATUSES, help="only in this state")
    parser.add_argument("--since", metavar="TIME", help="only changed at this time or later")
    parser.add_argument("--until", metavar="TIME", help="only changed before this time")
    parser.set_defaults(run=_run)


def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.exports import targets

    user_id = arguments.user or _developer(settings)
    with opened(settings) as dsn, targets.opened(arguments.output, user_id, arguments.format) as target:
        counts = asyncio.run(_export(settings, dsn, arguments, user_id, target))
    written, unchanged, refused = counts
    print(f"{arguments.output}: {written} written, {unchanged} unchanged")
    if refused:
        raise OperatorError(f"{refused} sessions were left out: {user_id} may read them, but not export them")


def _developer(settings: Settings) -> str:
    """Returns the user of requests without credentials. Raises OperatorError if authentication is on."""
    from amplifier.web.authentication import DEV_CALLER

    if settings.auth_required:
        raise OperatorError("name the user whose sessions are exported: --user ID, the `sub` of the user's tokens")
    return DEV_CALLER.user_id


async def _export(
    settings: Settings, dsn: str, arguments: argparse.Namespace, user_id: str, target: "Target"
) -> tuple[int, int, int]:
    """Exports all sessions, and returns how many were written, were unchanged and may not be exported."""
    from amplifier.web.problems import describe

    counts = [0, 0, 0]
    try:
        async with connected(settings, dsn) as queries:
            wanted = [one async for one in _wanted(queries, arguments, user_id)]
            owners = {entry.file: entry.session_id for entry in target.entries.values()}
            with _progress() as report:
                for number, session_id in enumerate(wanted, 1):
                    counts[await _one(queries, user_id, session_id, arguments.format, target, owners)] += 1
                    report(number, len(wanted))
    except (OperatorError, OSError):
        raise
    except Exception as error:
        raise OperatorError(describe(error).detail) from error
    return counts[0], counts[1], counts[2]


async def _one(
    queries: "Queries", user_id: str, session_id: str, name: FormatName, target: "Target", owners: dict[str, str]
) -> int:
    """Exports a session. Returns 0 if it was written, 1 if it is unchanged, 2 if it may not be exported.

    `owners` are the sessions of the files that are there.
    """
    from amplifier.exports.names import archived_name
    from amplifier.exports.targets import Entry

    row = await queries.exports.get(actor_id=user_id, session_id=session_id)
    if row is None:
        return 2
    session = Exported(*row)
    origin = await _origin(queries, user_id, session, name)
    lines = 0 if origin is None else origin.lines
    known = target.entries.get(session_id)
    if known is not None and (known.last_seq, known.lines) == (session.last_seq, lines):
        target.keep(known)
        return 1
    file = archived_name(session, name, (), origin) if known is None else known.file
    if owners.setdefault(file, session_id) != session_id:  # two people imported the same session
        file = archived_name(session, name, owners, origin)
    size, digest = await target.write(file, _document(queries, user_id, session, name, origin))
    times = (session.created_at.isoformat(), session.updated_at.isoformat())
    clock, total = session.last_seq, session.messages_total
    target.entries[session_id] = Entry(session_id, session.title, file, total, clock, size, digest, *times, lines)
    return 0


async def _origin(queries: "Queries", user_id: str, session: Exported, name: FormatName) -> "Origin | None":
    """Returns the file that the session was imported from, if the export begins with it."""
    from amplifier.exports.formats import COPIED
    from amplifier.exports.origin import Origin

    if name not in COPIED or session.external_id is None:
        return None
    row = await queries.exports.origin(actor_id=user_id, session_id=session.session_id)
    origin = None if row is None else Origin(*row)
    return origin if origin is not None and origin.fits(session, name) else None


async def _document(
    queries: "Queries", user_id: str, session: Exported, name: FormatName, origin: "Origin | None"
) -> AsyncIterator[bytes]:
    """Yields the file of a session, a page of messages in memory at a time."""
    from amplifier.exports.formats import Document

    document, after = Document(name, session, origin), 0 if origin is None else origin.last_seq
    yield document.begin()
    async for piece in _copied(queries, user_id, session, document):
        yield piece
    while True:
        rows = await queries.messages.list(
            actor_id=user_id,
            session_id=session.session_id,
            after=after,
            as_of=None,
            limit=_PAGE,
            max_bytes=_PAGE_BYTES,
        )
        known = [row for row in rows if row["seq"] is not None and row["seq"] <= session.last_seq]
        yield document.add([Line(*row[2:], thoughtless=not session.may_write) for row in known])
        if not known or rows[-1]["next_seq"] is None:
            yield document.end()
            return
        after = rows[-1]["seq"] or after


async def _copied(queries: "Queries", user_id: str, session: Exported, document: "Document") -> AsyncIterator[bytes]:
    """Yields the lines of the file that the session was imported from, some rows in memory at a time."""
    first_line = 0
    while not document.is_copied:
        rows = await queries.exports.lines(
            actor_id=user_id,
            session_id=session.session_id,
            after=first_line,
            limit=_LINE_ROWS,
            max_bytes=_PAGE_BYTES,
        )
        if not rows:
            raise OperatorError(f"session {session.session_id} changed meanwhile: run it again")
        yield document.copy([row["line"] for row in rows])
        first_line = rows[-1]["first_line"]


async def _wanted(queries: "Queries", arguments: argparse.Namespace, user_id: str) -> AsyncIterator[str]:
    """Yields the ids of the sessions that the options ask for."""
    from amplifier.web.filters import period, tag_filter
    from amplifier.web.folders import in_folder
    from amplifier.web.typed_filters import typed_filters

    typed = typed_filters(arguments.q or "", arguments.tag)
    filters: dict[str, Any] = {
        "actor_id": user_id,
        "owned": False,
        "tags": await in_folder(queries, user_id, typed.path, tag_filter(typed.tags)),
        "status": arguments.status,
        "config_id": arguments.config,
        "participant": None,
        "created_after": None,
        "created_before": None,
        **period("updated", _time(arguments.since), _time(arguments.until)),
    }
    if arguments.q is None or typed.names_sessions:
        pages = _listed(queries, filters)
    else:
        pages = _found(queries, filters | typed.of_messages, typed.words)
    async for session_id in pages:
        yield session_id


def _time(text: str | None) -> str | None:
    """Returns a time; a date is its beginning in UTC."""
    return f"{text}T00:00Z" if text is not None and len(text) == len("2026-01-01") else text


async def _listed(queries: "Queries", filters: dict[str, Any]) -> AsyncIterator[str]:
    from amplifier.web.paging import EARLIEST

    moment, last = EARLIEST
    while True:
        rows = await queries.session_lists.list(
            **filters,
            shared=False,
            unread=False,
            parent_session_id=None,
            sort="created_at",
            ascending=True,
            after_moment=moment,
            after_session_id=last,
            limit=_SESSIONS,
            offset=0,
        )
        for row in rows:
            yield row["session_id"]
        if len(rows) < _SESSIONS:
            return
        moment, last = rows[-1]["created_at"], rows[-1]["session_id"]


async def _found(queries: "Queries", filters: dict[str, Any], q: str) -> AsyncIterator[str]:
    from amplifier.web.search import MOST_RANKED, START

    until, rank, moment, last = START.searched_at, START.rank, START.moment, START.session_id
    is_first = True
    while True:
        rows = await queries.search.list_sessions(
            **filters,
            q=q,
            is_filtered=True,
            most_ranked=MOST_RANKED,
            until=until,
            after_rank=rank,
            after_matched_at=moment,
            after_session_id=last,
            limit=_FOUND,
            offset=0,
        )
        for row in rows:
            yield row["session_id"]
        if len(rows) < _FOUND:
            return
        end = rows[-1]
        until = end["searched_at"] if is_first else until
        rank, moment, last, is_first = end["rank"], end["matched_at"], end["session_id"], False


@contextlib.contextmanager
def _progress() -> Iterator[Report]:
    """Yields a function that moves a progress bar on stderr: done, total."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = [*Progress.get_default_columns()[:-1], MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("sessions")
        yield lambda done, total: bar.update(task, completed=done, total=total)
