"""TLS for connections to the database: makes asyncpg follow libpq where it differs by itself."""

import os
import ssl

from psycopg.conninfo import conninfo_to_dict


def context(dsn: str, host: str | None = None) -> ssl.SSLContext | bool | None:
    """Returns asyncpg's argument `ssl` for an address, or for one host of several.

    None where asyncpg reads the address as libpq does.

    As in libpq, Unix sockets use no TLS in any mode, `sslrootcert=system` uses the system's root certificates, and
    `sslmode=require` verifies nothing if the file of the root certificate does not exist.
    """
    given = conninfo_to_dict(dsn)
    root = str(given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT") or "")
    if str(host or given.get("host")).startswith("/"):
        return False
    if root == "system":
        return ssl.create_default_context()
    if given.get("sslmode") == "require" and root and not os.path.exists(root):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    return None
