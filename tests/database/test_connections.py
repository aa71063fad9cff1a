"""Every connection to the configured database goes through the functions that sign in and verify TLS."""

import re
from pathlib import Path

from tests.support.paths import ROOT

# the embedded PostgreSQL is reached through its socket, without a password
ALLOWED = {"amplifier/database/connections.py", "amplifier/libpq.py", "amplifier/postgres/server_process.py"}
CONNECTS = re.compile(r"(?:psycopg|asyncpg|AsyncConnection|Connection)\.connect\(|create_pool\(")


def test_drivers_connect_in_few_places() -> None:
    files = {str(file.relative_to(ROOT)): file for file in Path(ROOT / "amplifier").rglob("*.py")}
    assert {name for name, file in files.items() if CONNECTS.search(file.read_text())} == ALLOWED
