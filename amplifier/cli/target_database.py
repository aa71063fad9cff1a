"""The database that a command works on: the configured one, or the embedded one, which runs during the command."""

import argparse
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from amplifier import sign_in
from amplifier.cli import prepare as files
from amplifier.errors import OperatorError
from amplifier.postgres import embedded
from amplifier.setting_sources import load
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.queries.findings import Finding
    from amplifier.queries.registry import Queries

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


def nothing() -> None:
    """Does nothing: the default for `prepare`."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Adds the option --database."""
    parser.add_argument("--database", metavar="URL", help="the database, instead of the configured one")


def configured(arguments: argparse.Namespace) -> Settings:
    """Returns the settings, with --database and --queries in place of the configured values. Raises SettingsError."""
    given = {"DATABASE_URL": arguments.database, "QUERIES_DIR": getattr(arguments, "queries", None)}
    if arguments.database:
        given |= {"DATABASE_POOLER": "none", "DATABASE_LISTEN_URL": arguments.database}
    return load({**os.environ, **{name: value for name, value in given.items() if value}})


@contextlib.contextmanager
def chosen(settings: Settings, arguments: argparse.Namespace) -> Iterator[str]:
    """Yields the address of `opened`, or with --scratch that of a new, migrated database, dropped at the end."""
    if not arguments.scratch:
        with opened(settings) as dsn:
            yield dsn
        return
    from amplifier.postgres import scratch
    from amplifier.schema import migrate

    sign_in.use(settings)
    with scratch.server(settings.direct_dsn, settings.amplifier_user) as server, scratch.database(server) as dsn:
        migrate.migrate(dsn, level=logging.DEBUG)
        yield dsn


@contextlib.contextmanager
def opened(
    settings: Settings, prepare: Callable[[], object] = nothing, migrated: bool = True, serves: bool = False
) -> Iterator[str]:
    """Yields the address of the configured database, or runs the embedded one during the context and yields that.

    On the embedded database, sets DATABASE_URL to the address, for worker processes; calls `prepare` while a first
    start creates its files; applies migrations if `migrated` is true; if `serves` is true, creates the service's login
    and yields the address with it. Worker processes read the address of a configured one themselves, also by reference.
    Commands other than `serve` pass by a pooler: they need sessions.
    """
    if settings.dsn is not None:
        sign_in.use(settings)
        yield settings.dsn if serves else settings.direct_dsn or settings.dsn
        return

    def meanwhile(dsn: str, is_empty: bool) -> None:
        from amplifier.schema import migrate

        os.environ["DATABASE_URL"] = embedded.service_address(dsn) if serves else dsn
        if is_empty:
            migrate.known()
        prepare()

    cache = settings.cache if migrated else None  # the command `migrate` shows what it applies
    is_missing = serves and files.is_missing(settings)
    with embedded.running(settings.home, settings.amplifier_user, meanwhile=meanwhile, cache=cache) as dsn:
        os.environ["DATABASE_URL"] = dsn
        steadily(settings, dsn, lambda: _prepare(settings, dsn, migrated, serves))
        if serves:
            os.environ["DATABASE_URL"] = embedded.service_address(dsn)
        with files.in_background() if is_missing else contextlib.nullcontext():
            yield os.environ["DATABASE_URL"]


def _prepare(settings: Settings, dsn: str, migrated: bool, serves: bool) -> None:
    """Brings the schema of the embedded database and the service's login up to date, where `opened` is asked to."""
    from amplifier.schema import migrate, notification_keys, search_index, service_login

    if migrated:
        # commits need no flush here: migrations that a power cut undoes are applied at the next start
        lazily = f"{dsn}&options=-c%20synchronous_commit%3Doff"
        applied = migrate.migrate(lazily) if migrate.pending(dsn) else []
        notification_keys.ensure(dsn)
        search_index.adopt(dsn, settings.search_language)
        if applied and search_index.is_outdated(dsn):
            _catch_up(dsn)
    if serves:
        service_login.ensure(dsn, embedded.SERVICE)


def _catch_up(dsn: str) -> None:
    """Indexes the rows of the embedded database again after an upgrade. Logs an error that leaves some as they were."""
    from amplifier.schema import search_index

    logger.info("indexing messages again for the search of this release")
    try:
        search_index.catch_up(dsn)
    except search_index.ReindexError as error:
        logger.warning("run amplifier-api search reindex, or the search misses older messages: %s", error)


def steadily(settings: Settings, dsn: str, step: Callable[[], Result]) -> Result:
    """Returns the result of `step`. Repeats it if another process takes the embedded database over meanwhile."""
    return step() if settings.dsn is not None else embedded.outlasting(settings.home, dsn, step)


@contextlib.asynccontextmanager
async def connected(settings: Settings, dsn: str, faults: "list[Finding] | None" = None) -> AsyncIterator["Queries"]:
    """Yields the queries, connected to the database at `dsn`. Passes `faults` to Queries. Raises OperatorError."""
    from amplifier import paths
    from amplifier.database.pool import Database
    from amplifier.errors import Unavailable
    from amplifier.queries.registry import Queries

    database = Database(settings, dsn)
    queries = Queries(database, paths.folder("queries", settings.queries_dir), faults)
    try:
        await database.connect()
        if database.has_citus:
            queries.lay_over()
        yield queries
    except Unavailable as error:
        raise OperatorError(f"{error.reason} ({error.__cause__}); run: amplifier-api doctor") from error
    finally:
        await database.close()
