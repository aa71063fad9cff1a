"""The queries that a replica may answer."""

import re
from pathlib import Path

from amplifier.database.pool import Database
from amplifier.queries.reads import ON_REPLICA
from amplifier.queries.registry import Queries
from tests.conftest import settings_for

URL = "postgresql://x/x"
WRITES = re.compile(r"\b(insert|update|delete|merge|nextval|for (no key )?(share|update|key share))\b", re.IGNORECASE)


def test_reads_exist_and_change_nothing(folder: Path) -> None:
    found = {query.name: query for query in Queries(Database(settings_for(URL), URL), folder).all()}
    assert found.keys() >= ON_REPLICA
    assert [name for name in sorted(ON_REPLICA) if WRITES.search(found[name].statement)] == []
    assert {found[name].header.access for name in ON_REPLICA} == {"participant"}


def test_other_queries_run_on_primary(folder: Path) -> None:
    database = Database(settings_for(URL), URL)
    database.reads = elsewhere = Database(settings_for(URL), URL)
    found = {query.name: query for query in Queries(database, folder).all()}
    assert {name for name, query in found.items() if query._runner is elsewhere} == ON_REPLICA
