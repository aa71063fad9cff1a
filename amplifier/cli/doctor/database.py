"""Checks of the database itself: version, encoding, schema, language, queries, extensions, clock."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from amplifier import paths
from amplifier.cli.doctor import azure
from amplifier.cli.doctor.findings import Outcome, failed, ok, warning
from amplifier.cli.doctor.target import Target
from amplifier.database.connections import ROLE
from amplifier.errors import OperatorError

if TYPE_CHECKING:
    from amplifier.queries.findings import Finding

_OLDEST, _NEWEST = 15, 18  # of PostgreSQL
_SKEW, _MOST_SKEW = 5.0, 60.0  # seconds
_COLLATION = """
select
    pg_encoding_to_char(encoding) as encoding,
    datcollate as name,
    lower('É') = 'é' as folds,
    datcollversion is distinct from pg_database_collation_actual_version(oid) as is_stale
from pg_database
where datname = current_database()
"""
_WRITABLE = """
select
    pg_is_in_recovery() as is_replica,
    (select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only') as is_read_only
"""


async def version(target: Target) -> Outcome:
    """Compares the version of the server with those that the service runs on."""
    shown = await target.connection.fetchval("show server_version")
    return supported(target.connection.get_server_version().major, shown)


def supported(major: int, shown: str) -> Outcome:
    """Returns the outcome for a version of PostgreSQL."""
    if major < _OLDEST:
        return failed(
            f"PostgreSQL {shown}",
            f"the service needs PostgreSQL {_OLDEST} to {_NEWEST}",
            "upgrade the server; on Azure: az postgres flexible-server upgrade --resource-group GROUP --name SERVER "
            "--version 17",
        )
    if major > _NEWEST:
        problem = f"the release was tried on PostgreSQL {_OLDEST} to {_NEWEST}"
        return warning(f"PostgreSQL {shown}", problem, "upgrade the service when there is a newer release")
    return ok(f"PostgreSQL {shown}")


async def encoding(target: Target) -> Outcome:
    """Looks at the encoding and collation of the database."""
    row = await target.row(_COLLATION)
    seen = f"{row['encoding']}, collation {row['name']}"
    if row["encoding"] != "UTF8":
        return failed(
            seen,
            "the database cannot store every character",
            f"dump it, and restore it into a new one:\ncreate database {target.database}_utf8 template template0 "
            "encoding 'UTF8';",
        )
    if not row["folds"]:
        return warning(
            seen,
            "lower case is known for a to z only: a search for école does not find ÉCOLE",
            "dump it, and restore it into a new one: create database ... template template0 locale 'C.UTF-8';",
        )
    if row["is_stale"]:
        return warning(
            seen,
            "the system's collations changed since the database was made: indexes on text may be in a wrong order",
            f"as the owner, at a quiet time:\nreindex database;\nalter database {target.database} refresh collation "
            "version;",
        )
    return ok(seen)


async def writable(target: Target) -> Outcome:
    """Sees whether the server accepts changes."""
    row = await target.row(_WRITABLE)
    if row["is_replica"]:
        remedy = "use the primary's address; with several hosts in DATABASE_URL, add target_session_attrs=read-write"
        return failed("the server is a replica", "it accepts no changes", remedy)
    if row["is_read_only"]:
        remedy = (
            "find where it is set, and reset it:\nselect * from pg_db_role_setting;\n"
            f"alter database {target.database} reset default_transaction_read_only;\n"
            "alter system reset default_transaction_read_only;"
        )
        if azure.is_azure(target.host):
            remedy = (
                "Azure does this when the storage is almost full: az postgres flexible-server update --resource-group "
                f"GROUP --name {azure.server_name(target.host)} --storage-size ..., or storage auto-growth\n{remedy}"
            )
        return failed("default_transaction_read_only is on", "the server accepts no changes", remedy)
    return ok("accepts changes")


async def schema(target: Target) -> Outcome:
    """Compares the migrations of this release with those that the database has."""
    found = "select to_regclass('public._yoyo_migration') is not null"
    if not await target.connection.fetchval(found):
        remedy = f"as the owner of the database:\n{_migrate(target)}"
        return failed("no migration was applied", "the database has no schema of the service", remedy)
    async with target.connection.transaction():
        await target.connection.execute(f"set local role {ROLE}")
        rows = await target.connection.fetch("select migration_id from public._yoyo_migration")
    applied, known = {row[0] for row in rows}, paths.migrations()
    missing = [identifier for identifier in known if identifier not in applied]
    newer = sorted(applied - set(known))
    if missing:
        seen = f"{len(missing)} of {len(known)} migrations are missing, the first {missing[0]}"
        return failed(seen, "the schema is behind this release", f"as the owner of the database:\n{_migrate(target)}")
    if newer:
        return warning(
            f"{len(newer)} migrations that this release does not know, the last {newer[-1]}",
            "a newer release migrated the database: this one works on the schema of the next release, of no later one",
            "upgrade the service",
        )
    return ok(f"all {len(known)} migrations")


def _migrate(target: Target) -> str:
    password = "" if target.settings.dsn is None else "DATABASE_SERVICE_PASSWORD=... "
    return f"{password}amplifier-api migrate"


async def language(target: Target) -> Outcome:
    """Compares the language of the search with SEARCH_LANGUAGE."""
    wanted = target.settings.search_language
    row = await target.pool.fetchrow(
        "select search_default_language() as current, search_language($1::text) as wanted", wanted
    )
    if row["wanted"] is None:
        remedy = "set SEARCH_LANGUAGE to one of: select cfgname from pg_ts_config;"
        return failed(f"SEARCH_LANGUAGE={wanted}", "the database has no such text search configuration", remedy)
    if row["current"] != row["wanted"]:
        return failed(
            f"the search is in {row['current']}, SEARCH_LANGUAGE={wanted}",
            "serve refuses to start",
            f"set SEARCH_LANGUAGE={row['current']}, or as the owner of the database:\n"
            f"SEARCH_LANGUAGE={wanted} amplifier-api search reindex",
        )
    return ok(f"{row['current']}")


async def files(target: Target) -> Outcome:
    """Reads the files of the queries."""
    from amplifier.database.pool import Database
    from amplifier.queries.findings import Finding
    from amplifier.queries.registry import Queries

    folder = paths.folder("queries", target.settings.queries_dir)
    found: list[Finding] = []
    try:
        loaded = Queries(Database(target.settings, ""), folder, found)
    except OperatorError as error:
        return failed(str(folder), str(error), "correct QUERIES_DIR, or let this user read the folder")
    if found:
        remedy = "correct the file; queries/README.md explains the findings"
        return failed(str(folder), _first(found), remedy)
    return ok(f"{len(loaded.all())} queries in {folder}")


async def queries(target: Target) -> Outcome:
    """Checks the queries against the database, as serve does before it starts."""
    from amplifier.queries.checks.run import findings
    from amplifier.queries.findings import Finding
    from amplifier.queries.registry import Queries
    from amplifier.server.row_structs import STRUCTS

    found: list[Finding] = []
    loaded = Queries(target.pool, paths.folder("queries", target.settings.queries_dir), found)
    found += await findings(loaded, STRUCTS)
    if found:
        remedy = "correct them; all findings: amplifier-api queries check"
        return failed(f"{len(found)} finding{'' if len(found) == 1 else 's'}", _first(found), remedy)
    return ok(f"{len(loaded.all())} queries hold")


def _first(found: "list[Finding]") -> str:
    """Returns the first findings as a text."""
    more = f"\nand {len(found) - 3} more" if len(found) > 3 else ""
    return "\n".join(map(str, found[:3])) + more


async def extensions(target: Target) -> Outcome:
    """Looks for pg_stat_statements, which is useful and not needed."""
    has = await target.connection.fetchval("select true from pg_extension where extname = 'pg_stat_statements'")
    if has:
        return ok("none is needed; pg_stat_statements is there")
    remedy = "to have it: shared_preload_libraries = 'pg_stat_statements', then create extension pg_stat_statements;"
    if azure.is_azure(target.host):
        allow = azure.set_parameter(target.host, "azure.extensions", "pg_stat_statements")
        remedy = f"to have it: {allow}\nthen create extension pg_stat_statements;"
    return ok("none is needed; without pg_stat_statements `queries top` shows nothing", remedy)


async def clock(target: Target, now: Callable[[], float] = time.time) -> Outcome:
    """Compares the clock of the database with that of this machine."""
    before = now()
    there = await target.connection.fetchval("select extract(epoch from clock_timestamp())::double precision")
    after = now()
    return skew(there - (before + after) / 2, "the database", (after - before) / 2)


def skew(seconds: float, other: str, uncertainty: float) -> Outcome:
    """Returns the outcome for a clock that is so many seconds ahead of this machine's."""
    amount = abs(seconds)
    direction = "ahead of" if seconds > 0 else "behind"
    if amount <= max(_SKEW, uncertainty):
        return ok(f"{other} is {amount:.1f} s {direction} this machine")
    outcome = failed if amount > _MOST_SKEW else warning
    return outcome(
        f"{other} is {amount:.0f} s {direction} this machine",
        "tokens are refused or accepted at wrong times, and times in the log do not agree with those in the database",
        "synchronize the clocks by NTP: timedatectl set-ntp true (see timedatectl timesync-status, chronyc tracking)",
    )
