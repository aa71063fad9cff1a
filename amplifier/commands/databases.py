"""The database that a command works on: the configured one, or the embedded one for as long as the command runs."""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from amplifier import embedded
from amplifier.settings import OperatorError, Settings

if TYPE_CHECKING:
    from amplifier.queries import Queries


def nothing() -> None:
    """Nothing to prepare."""


@contextlib.contextmanager
def opened(config: Settings, prepare: Callable[[], object] = nothing, migrated: bool = True) -> Iterator[str]:
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


@contextlib.asynccontextmanager
async def connected(config: Settings, dsn: str) -> AsyncIterator["Queries"]:
    """The queries on the database at `dsn`. Raises OperatorError."""
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
