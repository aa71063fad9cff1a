"""amplifier-api serve: checks the database and the queries, then runs the API in uvicorn."""

import argparse
import contextlib
import gc
import logging
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from amplifier.cli import address
from amplifier.cli.announcement import announce
from amplifier.cli.target_database import connected, nothing, opened, steadily
from amplifier.errors import OperatorError
from amplifier.settings import Settings
from amplifier.telemetry import logs
from amplifier.telemetry.targets import targets

if TYPE_CHECKING:
    from litestar import Litestar

logger = logging.getLogger(__name__)


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    serve = commands.add_parser("serve", help="serve the API; without a configured database, on an embedded one")
    serve.set_defaults(run=_serve)


def _serve(settings: Settings, _: argparse.Namespace) -> None:
    targets(settings.app_insights_connection_string)  # raises now, before the database is opened
    address.refuse_taken(settings)
    alone = settings.service_workers == 1
    with opened(settings, _application if alone else nothing, serves=True) as dsn:
        import asyncio

        import uvicorn

        from amplifier.schema import migrate
        from amplifier.server import signals

        missing = steadily(settings, dsn, lambda: migrate.pending(settings.direct_dsn or dsn))
        if missing:
            raise migrate.SchemaError(
                f"the database's schema is behind by {len(missing)}: {', '.join(missing)}\nrun: amplifier-api migrate"
            )
        checked = steadily(settings, dsn, lambda: asyncio.run(_check_queries(settings, dsn)))
        if not alone:
            signals.forward_hangups()
        elif _application().state.queries.hash != checked:
            raise OperatorError("the queries changed while the service was starting: start it again")
        announce(settings, dsn)
        with _metrics_served(settings):
            uvicorn.run(
                _application() if alone else "amplifier.server.app:from_environment",
                factory=not alone,
                host=settings.service_host,
                port=settings.service_port,
                workers=settings.service_workers,
                http="amplifier.web.http_protocol:BoundedProtocol",
                ws="amplifier.web.websocket_protocol:BoundedWebSocketProtocol",
                ws_max_size=64 * 1024,  # bytes; the application answers smaller messages that are too long
                log_level=settings.log_level,
                log_config=logs.config(settings.log_format, settings.log_level),
                access_log=False,  # telemetry/access_log.py
                proxy_headers=False,  # web/forwarded.py
                timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type] # passed to loop.call_later
                server_header=False,
                timeout_graceful_shutdown=max(1, round(settings.shutdown_grace)),
            )


@contextlib.contextmanager
def _metrics_served(settings: Settings) -> Iterator[None]:
    """Serves the metrics of this process, or the sum over the worker processes, where METRICS_PORT is set."""
    if settings.metrics_port is None:
        yield
        return
    from amplifier.telemetry import metrics_server

    with contextlib.ExitStack() as stack:
        if settings.service_workers == 1:
            registry = _application().state.measurements.metrics.registry
        else:
            registry = stack.enter_context(metrics_server.folder_for_workers())
        stack.enter_context(metrics_server.serving(settings, registry))
        yield


async def _check_queries(settings: Settings, dsn: str) -> str:
    """Checks the queries and the search language before any worker starts, and returns the hash of the queries.

    Logs a warning if the login is not confined to the service's role. Raises OperatorError.
    """
    from amplifier.queries.checks.run import check
    from amplifier.queries.checks.unchanged import check_changed
    from amplifier.schema.service_login import EXCESS
    from amplifier.server.row_structs import STRUCTS

    async with connected(settings, dsn) as queries:
        if settings.dsn is None:
            await check_changed(queries, STRUCTS, settings.home / "data")
        else:
            await check(queries, STRUCTS)
        current, wanted = await queries.search.get_languages(language=settings.search_language)
        if (excess := await queries.database.fetchval(EXCESS)) is not None:
            logger.warning(
                "the login of DATABASE_URL or DATABASE_USER %s, so the service's role does not confine it: "
                "give the service a login of its own, see Roles in migrations/README.md",
                excess,
            )
    if wanted is None:
        raise OperatorError(
            f"SEARCH_LANGUAGE is {settings.search_language!r}, which is no text search configuration of the database"
        )
    if current != wanted:
        raise OperatorError(
            f"the search of the database is in {current}, SEARCH_LANGUAGE is {settings.search_language}: set it back, "
            "or run: amplifier-api search reindex"
        )
    return queries.hash


@cache
def _application() -> "Litestar":
    """Returns the application of a single process, created once.

    It does not check the queries: `_serve` does, and prints the findings.
    """
    gc.disable()  # nothing that is imported becomes garbage, and looking for it takes an eighth of the time
    try:
        import uvicorn.server  # noqa: F401 - imported here, because initdb runs meanwhile at a first start

        from amplifier.server.app import from_environment

        return from_environment(checked=True)
    finally:
        gc.enable()
