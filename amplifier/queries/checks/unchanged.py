"""Remembers that the queries passed their checks on an embedded database, so that its next start skips these.

The checks run again when anything that decides about them changes: the queries, the package's code, the release of
PostgreSQL, or any row of the catalogs that describe the schema and its privileges.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from amplifier import paths
from amplifier.database.connections import ROLE
from amplifier.queries.checks import run
from amplifier.queries.checks.row_types import Structs
from amplifier.queries.registry import Queries

_FILE = "amplifier-checked"  # in the data folder: copies of the data have it, and PostgreSQL ignores it
_CATALOGS = (
    "pg_aggregate",
    "pg_amop",
    "pg_amproc",
    "pg_attrdef",
    "pg_attribute",
    "pg_cast",
    "pg_class",
    "pg_collation",
    "pg_constraint",
    "pg_enum",
    "pg_event_trigger",
    "pg_extension",
    "pg_foreign_table",
    "pg_index",
    "pg_inherits",
    "pg_language",
    "pg_namespace",
    "pg_opclass",
    "pg_operator",
    "pg_partitioned_table",
    "pg_policy",
    "pg_proc",
    "pg_range",
    "pg_rewrite",
    "pg_trigger",
    "pg_ts_config",
    "pg_ts_config_map",
    "pg_ts_dict",
    "pg_ts_parser",
    "pg_type",
)
# A changed row has another place and another transaction. Statistics are changed in place, and do not count.
_OWN = " union all ".join(f"select tableoid, ctid, xmin from {catalog}" for catalog in _CATALOGS)  # noqa: S608
_SCHEMA = f"""
select
    version() as version,
    (select r::text from pg_roles as r where r.rolname = '{ROLE}') as role,
    array(select roleid from pg_auth_members where member = '{ROLE}'::regrole order by roleid) as groups,
    array(
        select setconfig::text
        from pg_db_role_setting
        where
            setdatabase in (0, (select oid from pg_database where datname = current_database()))
            and setrole in (0, '{ROLE}'::regrole, session_user::regrole)
        order by setconfig
    ) as settings,
    count(*) as rows,
    bit_xor(hashtextextended(tableoid || ' ' || ctid || ' ' || xmin, 0)) as hash
from ({_OWN}) as rows
"""  # noqa: S608 - names of the catalog


async def check_changed(queries: Queries, structs: Structs, data: Path) -> None:
    """Checks the queries unless they passed the checks in the same state, as a file in the folder `data` says.

    Raises the same errors as `run.check`.
    """
    state = await _state(queries)
    with contextlib.suppress(OSError):
        if (data / _FILE).read_text() == state:
            return
    await run.check(queries, structs)
    with contextlib.suppress(OSError):
        (data / _FILE).write_text(state)


async def _state(queries: Queries) -> str:
    """Returns a digest of everything that decides about the result of the checks."""
    digest = hashlib.sha256(repr(tuple(await queries.database.fetchrow(_SCHEMA))).encode())
    for query in (*queries.all(), *queries.overlay.values()):
        digest.update(f"{query.name}\0{query.file}\0{query.text}\0".encode())
    digest.update(repr(sorted(_package_files())).encode())
    return digest.hexdigest()


def _package_files() -> list[tuple[str, int, int]]:
    """Returns the names, sizes and times of the package's modules."""
    found = []
    for folder, _, names in os.walk(paths.PACKAGE):
        for name in names:
            if name.endswith((".py", ".pyi")):
                status = os.stat(os.path.join(folder, name))
                found.append((f"{folder}/{name}", status.st_size, status.st_mtime_ns))
    return found
