"""amplifier-api queries check | reload | top | stub: commands for editors of `queries/`.

The checks are in `amplifier.queries`.
"""

import argparse
import logging
import sys
from typing import TYPE_CHECKING

from amplifier.cli.target_database import add_option, chosen, configured, connected, opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.queries.findings import Finding
    from amplifier.queries.plans.baseline import Line


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    queries = commands.add_parser("queries", help="check, reload and watch the queries").add_subparsers(
        required=True, metavar="command"
    )
    check = queries.add_parser("check", help="compare the queries with the database, the structs and the code")
    check.add_argument("--queries", metavar="DIR", help="the folder with the queries, instead of QUERIES_DIR")
    check.add_argument("--plans", action="store_true", help="compare plans and results with plans.json, on a profile")
    check.add_argument("--update", action="store_true", help="with --plans: write plans.json anew")
    check.add_argument("--json", action="store_true", help="findings as JSON")
    check.set_defaults(run=_check)
    reload = queries.add_parser("reload", help="have all running processes take over the files, if they pass the check")
    reload.add_argument("--queries", metavar="DIR", help="with --plans: the folder, instead of QUERIES_DIR")
    reload.add_argument("--plans", action="store_true", help="warn of plans that cost more than before, on a profile")
    reload.add_argument("--refuse", action="store_true", help="the same, and reload nothing if one does")
    reload.add_argument("--timeout", type=float, default=30, metavar="SECONDS", help="to wait for their answers (30)")
    reload.set_defaults(run=_reload)
    top = queries.add_parser("top", help="what the queries cost the database, from pg_stat_statements")
    top.add_argument("--limit", type=int, default=20, metavar="N", help="how many to show (20)")
    top.set_defaults(run=_top)
    stub = queries.add_parser(
        "stub", help="write amplifier/queries/registry.pyi, after a change of what a query takes or gives"
    )
    stub.add_argument("--check", action="store_true", help="only say whether it is up to date")
    stub.set_defaults(run=_stub)
    for parser in (check, stub):
        parser.add_argument("--scratch", action="store_true", help="on a new database, which is dropped in the end")
    for parser in (check, reload, top, stub):
        add_option(parser)


def _check(_: Settings, arguments: argparse.Namespace) -> None:
    import asyncio

    import msgspec

    from amplifier import paths
    from amplifier.queries.query import files

    settings = configured(arguments)
    files(paths.folder("queries", settings.queries_dir))  # before a database is started
    with chosen(settings, arguments) as dsn:
        count, found = asyncio.run(_findings(settings, dsn))
        lines: list[Line] = []
        if arguments.plans and not found:  # a query with findings may not run at all
            lines, found = _plans(settings, dsn, arguments.update)
    if arguments.json:
        print(msgspec.json.encode({"queries": count, "findings": found, "plans": lines}).decode())
    else:
        if lines:
            print(f"{'query':32} {'generic':>9} {'custom':>9}  change")
        for line in lines:
            print(f"{line.query:32} {line.generic:>9.0f} {line.custom:>9.0f}  {'; '.join(line.changes)}".rstrip())
        print("\n".join(map(str, found)) or f"{count} queries hold")
    if found:
        sys.exit(1)


async def _findings(settings: Settings, dsn: str) -> "tuple[int, list[Finding]]":
    """Returns the number of queries and all findings."""
    from amplifier.queries.checks import shards
    from amplifier.queries.checks.run import findings, overlay_findings
    from amplifier.server.row_structs import STRUCTS

    found: list[Finding] = []
    async with connected(settings, dsn, found) as queries:
        known = {finding.query for finding in found}
        new = await findings(queries, STRUCTS)
        if not queries.database.has_citus:
            new += await overlay_findings(queries, STRUCTS)
        new += shards.findings([*queries.all(), *queries.overlay.values()])
        found += [one for one in new if one.query not in known]
        return len(queries.all()), found


def _plans(settings: Settings, dsn: str, update: bool) -> "tuple[list[Line], list[Finding]]":
    """Returns a line for each query and the findings about plans, from a profile in a scratch database."""
    from amplifier import paths
    from amplifier.database.pool import Database
    from amplifier.postgres import scratch
    from amplifier.queries.plans import baseline
    from amplifier.queries.registry import Queries
    from amplifier.schema import migrate

    with scratch.database(dsn) as profile:
        migrate.migrate(profile, level=logging.DEBUG)
        queries = Queries(Database(settings, profile), paths.folder("queries", settings.queries_dir))
        return baseline.compare(profile, queries, update)


def _reload(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.queries import control

    settings = configured(arguments)
    with opened(settings, migrated=False) as dsn:
        compared = _warned(settings, dsn, arguments.refuse) if arguments.plans or arguments.refuse else None
        expected, reports = control.reload(dsn, arguments.timeout)
    for report in reports:
        print(f"{report.process}: " + (f"stays with {report.hash}" if report.faults else f"serves {report.hash}"))
        for finding in report.findings:
            print(f"  {finding}")
        if report.faults > len(report.findings):
            print(f"  and {report.faults - len(report.findings)} more, see GET /health/queries or its log")
        if compared not in (None, report.hash) and not report.faults:
            print(f"warning: {report.process}: reads other files than those whose plans were compared", file=sys.stderr)
    if not expected:
        raise OperatorError("no process of the service listens on this database")
    if len(reports) < expected:
        raise OperatorError(f"{expected - len(reports)} of {expected} processes did not answer: see their logs")
    if any(report.faults for report in reports):
        sys.exit(1)
    if len({report.hash for report in reports}) > 1:
        raise OperatorError("the processes serve different files: give all nodes the same ones")


def _warned(settings: Settings, dsn: str, refuse: bool) -> str:
    """Prints a warning for each query whose plan costs more than before, and returns the hash of the queries.

    Raises OperatorError if there are any and `refuse` is true.
    """
    from amplifier import paths
    from amplifier.database.pool import Database
    from amplifier.postgres import scratch
    from amplifier.queries.plans import growth
    from amplifier.queries.registry import Queries
    from amplifier.schema import migrate

    with scratch.database(dsn) as profile:
        migrate.migrate(profile, level=logging.DEBUG)
        database = Database(settings, profile)
        queries = Queries(database, paths.folder("queries", settings.queries_dir))
        found = growth.compare(profile, queries, Queries(database, paths.folder("queries")))
    for finding in found.findings:
        print(f"warning: {finding}", file=sys.stderr)
    print(f"{len(found.findings)} of {found.count} plans cost more than those of {found.basis}")
    if found.findings and refuse:
        raise OperatorError("nothing was reloaded: without --refuse the queries would be")
    return str(queries.hash)


def _top(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier import paths
    from amplifier.queries import control
    from amplifier.queries.query import files, read

    settings = configured(arguments)
    folder = paths.folder("queries", settings.queries_dir)
    places = {query.name: f"{query.file}:{query.line}" for file in files(folder) for query in read(file)[0]}
    with opened(settings) as dsn:
        rows = control.top(dsn, arguments.limit)
    print(f"{'calls':>10} {'total s':>10} {'mean ms':>10} {'rows':>10}  query")
    for name, calls, seconds, milliseconds, count in rows:
        print(f"{calls:>10} {seconds:>10.1f} {milliseconds:>10.3f} {count:>10}  {name} ({places.get(name, 'no file')})")


def _stub(_: Settings, arguments: argparse.Namespace) -> None:
    import asyncio

    from amplifier import paths
    from amplifier.queries.checks import stub

    settings = configured(arguments)
    with chosen(settings, arguments) as dsn:
        text = asyncio.run(_rendered(settings, dsn))
    if text == stub.FILE.read_text():
        return
    if arguments.check:
        raise OperatorError(f"{stub.FILE} is stale, run: amplifier-api queries stub")
    paths.write(stub.FILE, text)
    print(f"wrote {stub.FILE}")


async def _rendered(settings: Settings, dsn: str) -> str:
    """Returns the text of the stub for the current queries. Raises QueriesError if they cannot be described."""
    from amplifier.queries.checks import stub
    from amplifier.queries.checks.describe import describe
    from amplifier.queries.checks.row_types import problems
    from amplifier.queries.findings import QueriesError
    from amplifier.server.row_structs import STRUCTS

    async with connected(settings, dsn) as queries:
        described, found = describe(dsn, queries.all())
        for query in queries.all():
            if query.name in described:
                found += problems(query, described[query.name].columns, STRUCTS)
        if found:
            raise QueriesError(found)
        return stub.render(queries.all(), described, STRUCTS)
