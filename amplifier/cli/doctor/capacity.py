"""Checks of the server's limits and settings: connections for all pools, and settings that hurt the service."""

from collections.abc import Callable
from typing import NamedTuple

from amplifier.cli.doctor import azure
from amplifier.cli.doctor.findings import Outcome, failed, ok, warning
from amplifier.cli.doctor.target import Target
from amplifier.database.connections import LISTENER

_IDLE_LIMIT = 600  # seconds; pooled connections may be idle longer than a server may close them after
# Connections of the whole server. Those of this command do not count; the rows of other logins show their
# application_name, too.
_CONNECTIONS = """
select
    current_setting('max_connections')::int as most,
    current_setting('superuser_reserved_connections')::int
    + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved,
    count(*) filter (where application_name not like 'amplifier-api%') as others,
    count(*) filter (where application_name in ('amplifier-api', $1)) as ours,
    count(*) filter (where application_name = $1 and datname = current_database()) as processes,
    nullif((select rolconnlimit from pg_roles where rolname = session_user), -1) as most_of_login,
    nullif((select datconnlimit from pg_database where datname = current_database()), -1) as most_of_database
from pg_stat_activity
where datid is not null and (backend_type is null or backend_type = 'client backend')
"""
_SETTINGS = """
select name, setting, coalesce(unit, '') as unit
from pg_settings
where name = any($1::text[])
"""


async def pool(target: Target) -> Outcome:
    """Compares the connections that all processes may open with those that the server has left for them."""
    row = await target.row(_CONNECTIONS, LISTENER)
    settings = target.settings
    processes = max(settings.service_workers, row["processes"])
    # and the one that listens, which is the only one where a pooler has the others
    each = 1 if target.is_through_pooler else settings.database_pool_max_size + 1
    need = processes * each
    limits = [row["most"] - row["reserved"], row["most_of_login"], row["most_of_database"]]
    most = min(limit for limit in limits if limit is not None)
    left = min(most, row["most"] - row["reserved"] - row["others"])
    seen = (
        f"{processes} process{'' if processes == 1 else 'es'} of up to {each} connections need {need}; the server has "
        f"{row['most']}, {row['reserved']} reserved, {row['others']} used by others, {row['ours']} by the service"
    )
    if most < row["most"] - row["reserved"]:
        seen += f"; login and database may have {most}"
    if need <= left:
        return ok(seen)
    remedy = f"DATABASE_POOL_MAX_SIZE={max(1, left // processes - 1)}, fewer processes, or raise the limit"
    if azure.is_azure(target.host):
        remedy += (
            f":\n{azure.set_parameter(target.host, 'max_connections', str(need + row['others'] + row['reserved']))}"
        )
    else:
        remedy += ": max_connections in postgresql.conf, which needs a restart"
    if need > most:
        return failed(seen, f"the pools may grow to {need} connections, the server allows {most}", remedy)
    return warning(seen, f"while others use {row['others']}, {left} are left for the service", remedy)


class _Rule(NamedTuple):
    """A setting of the server, values of it that hurt, and why."""

    name: str
    hurts: Callable[[str, Target], bool]
    problem: str
    value: str  # that does not hurt


def _seconds(setting: str) -> float:
    """Returns a time in milliseconds as seconds; infinite for 0, which means no limit."""
    return float(setting) / 1000 or float("inf")


_RULES = (
    _Rule(
        "idle_session_timeout",
        lambda value, _: _seconds(value) < _IDLE_LIMIT,
        "the server closes connections of the pool, and that which listens, while they wait",
        "0",
    ),
    _Rule(
        "transaction_timeout",
        lambda value, target: _seconds(value) < target.settings.database_statement_timeout,
        "the server ends transactions before DATABASE_STATEMENT_TIMEOUT",
        "0",
    ),
    _Rule(
        "default_transaction_isolation",
        lambda value, _: value != "read committed",
        "concurrent changes fail instead of waiting for each other",
        "'read committed'",
    ),
    _Rule("fsync", lambda value, _: value == "off", "a crash of the server may destroy the database", "on"),
    _Rule("full_page_writes", lambda value, _: value == "off", "a crash of the server may destroy the database", "on"),
    _Rule(
        "synchronous_commit",
        lambda value, _: value == "off",
        "a crash of the server loses changes that were acknowledged",
        "on",
    ),
    _Rule(
        "log_statement",
        lambda value, _: value in ("mod", "all"),
        "the server's log contains what is said in sessions",
        "none",
    ),
)


async def server_settings(target: Target) -> Outcome:
    """Looks for settings of the server, the database and the login that hurt the service."""
    rows = await target.connection.fetch(_SETTINGS, [rule.name for rule in _RULES])
    values = {row["name"]: row["setting"] for row in rows}
    units = {row["name"]: row["unit"] for row in rows}
    hurting = [rule for rule in _RULES if rule.name in values and rule.hurts(values[rule.name], target)]
    if not hurting:
        return ok("none that hurts the service")
    mend = (
        [azure.set_parameter(target.host, rule.name, rule.value) for rule in hurting]
        if azure.is_azure(target.host)
        else [f"alter system set {rule.name} = {rule.value};" for rule in hurting] + ["select pg_reload_conf();"]
    )
    return warning(
        ", ".join(f"{rule.name} = {values[rule.name]}{units[rule.name]}" for rule in hurting),
        "; ".join(dict.fromkeys(rule.problem for rule in hurting)),
        "\n".join([*mend, "(or where it is set for a database or login: select * from pg_db_role_setting;)"]),
    )
