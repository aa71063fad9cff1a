"""The console script: amplifier-api serve | migrate | applications create | search reindex.

Commands import what they need when they run: a first start does so while PostgreSQL makes its files.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from amplifier import __version__, embedded, settings
from amplifier.settings import OperatorError, Settings

if TYPE_CHECKING:
    from litestar import Litestar

    from amplifier.queries import Queries


def main() -> None:
    """Runs a command; an expected failure is a message on stderr and exit status 1."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        config = settings.load()
        logging.basicConfig(level=config.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("yoyo").setLevel(logging.WARNING)  # it tells of every statement
        arguments.run(config, arguments)
    except KeyboardInterrupt:
        sys.exit(0)
    except OperatorError as error:
        sys.exit(f"amplifier-api: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("amplifier-api", description="The session backend for AI agents, on PostgreSQL.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    serve = commands.add_parser("serve", help="serve the API; without a configured database, on an embedded one")
    serve.set_defaults(run=_serve)
    migrate = commands.add_parser("migrate", help="bring the database's schema up to date")
    migrate.set_defaults(run=_migrate)
    applications = commands.add_parser("applications", help="manage applications").add_subparsers(
        required=True, metavar="command"
    )
    create = applications.add_parser("create", help="register an application and print its key, once")
    create.add_argument("app_id", metavar="NAME", help="lower-case letters, digits and hyphens")
    create.add_argument("--admin", action="store_true", help="it may manage the other applications")
    create.set_defaults(run=_create_application)
    search = commands.add_parser("search", help="manage the search").add_subparsers(required=True, metavar="command")
    reindex = search.add_parser("reindex", help="index again what SEARCH_LANGUAGE or a changed extraction asks for")
    reindex.set_defaults(run=_reindex)
    return parser


def _serve(config: Settings, _: argparse.Namespace) -> None:
    alone = config.service_workers == 1
    with _database(config, _application if alone else _nothing) as dsn:
        import asyncio

        import uvicorn

        from amplifier import schema

        missing = schema.pending(dsn)
        if missing:
            raise schema.SchemaError(
                f"the database's schema is behind by {len(missing)}: {', '.join(missing)}\nrun: amplifier-api migrate"
            )
        asyncio.run(_check_queries(config, dsn))
        uvicorn.run(
            _application() if alone else "amplifier.app:from_environment",
            factory=not alone,
            host=config.service_host,
            port=config.service_port,
            workers=config.service_workers,
            http="amplifier.protocol:BoundedProtocol",
            ws="amplifier.protocol:BoundedWebSocketProtocol",
            ws_max_size=8 * 1024 * 1024,  # bytes; whatever is less is answered
            log_level=config.log_level,
            access_log=config.log_level == "debug",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(config.shutdown_grace)),
        )


async def _check_queries(config: Settings, dsn: str) -> None:
    """Finds a wrong query, or a search in another language, before any worker starts. Raises OperatorError."""
    from amplifier.checks import check

    async with _connected(config, dsn) as queries:
        await check(queries)
        current, wanted = await queries.search.get_languages(language=config.search_language)
    if wanted is None:
        raise OperatorError(
            f"SEARCH_LANGUAGE is {config.search_language!r}, which is no text search configuration of the database"
        )
    if current != wanted:
        raise OperatorError(
            f"the search of the database is in {current}, SEARCH_LANGUAGE is {config.search_language}: set it back, "
            "or run: amplifier-api search reindex"
        )


def _migrate(config: Settings, _: argparse.Namespace) -> None:
    from amplifier import reindex, schema

    with _database(config, _nothing, migrated=False) as dsn:
        applied = schema.migrate(dsn)
        reindex.adopt(dsn, config.search_language)
    print("\n".join(f"applied {identifier}" for identifier in applied) or "the schema is up to date")


def _create_application(config: Settings, arguments: argparse.Namespace) -> None:
    import asyncio

    with _database(config, _nothing) as dsn:
        print(asyncio.run(_insert_application(config, dsn, arguments.app_id, arguments.admin)))


def _reindex(config: Settings, _: argparse.Namespace) -> None:
    from rich.progress import MofNCompleteColumn, Progress, TaskID

    from amplifier import reindex

    tasks: dict[str, TaskID] = {}
    with _database(config, _nothing) as dsn, Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as bar:

        def report(table: str, seen: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task(table)
            bar.update(tasks[table], completed=seen, total=total)

        refreshed = reindex.reindex(dsn, config.search_language, report)
    print(f"indexed again: {refreshed}")


async def _insert_application(config: Settings, dsn: str, app_id: str, is_admin: bool) -> str:
    """The new application's key."""
    import asyncpg

    from amplifier.auth import generate_key
    from amplifier.problems import describe

    key = generate_key()
    async with _connected(config, dsn) as queries:
        try:
            await queries.applications.create(
                app_id=app_id,
                app_name=app_id,
                api_key_hash=key.hash,
                api_key_prefix=key.prefix,
                is_admin=is_admin,
                settings=b"{}",
            )
        except asyncpg.PostgresError as error:
            problem = describe(error)
            raise OperatorError(problem.detail if problem.status < 500 else str(error)) from None
    return key.text


@contextlib.asynccontextmanager
async def _connected(config: Settings, dsn: str) -> AsyncIterator["Queries"]:
    from amplifier import schema
    from amplifier.database import Database
    from amplifier.outages import Unavailable
    from amplifier.queries import Queries

    database = Database(config, dsn)
    queries = Queries(database, schema.share("queries", config.queries_dir))
    try:
        await database.connect()
        yield queries
    except Unavailable as error:
        raise OperatorError(f"{error.reason} ({error.__cause__})") from error
    finally:
        await database.close()


@contextlib.contextmanager
def _database(config: Settings, prepare: Callable[[], object], migrated: bool = True) -> Iterator[str]:
    """The configured database's address, or the embedded one's, started (and migrated) for as long as it takes.

    The environment names it, too, for worker processes. `prepare` is called while a first start makes its files.
    """
    if config.dsn is not None:
        os.environ["DATABASE_URL"] = config.dsn
        yield config.dsn
        return

    def meanwhile(dsn: str) -> None:
        from amplifier import schema

        os.environ["DATABASE_URL"] = dsn
        schema.known()
        prepare()

    with embedded.running(config.home, config.amplifier_user, meanwhile=meanwhile) as dsn:
        from amplifier import reindex, schema

        os.environ["DATABASE_URL"] = dsn
        if migrated:
            # commits need no flush here: what a power cut takes back is applied again at the next start
            schema.migrate(f"{dsn}&options=-c%20synchronous_commit%3Doff")
            reindex.adopt(dsn, config.search_language)
        yield dsn


@cache
def _application() -> "Litestar":
    """The application of a single process, made once; `_serve` checks the queries itself, for a clear message."""
    import uvicorn.server  # noqa: F401 - with the other imports, while there is time

    from amplifier.app import from_environment

    return from_environment(checked=True)


def _nothing() -> None:
    """Nothing to prepare."""


def _stop(*_: object) -> None:
    """SIGTERM leaves through the same door as everything else, so that the embedded database stops, too."""
    sys.exit(0)
