"""TLS to the database: what makes asyncpg do as libpq does, where it would not by itself."""

import os
import ssl

from psycopg.conninfo import conninfo_to_dict


def context(dsn: str) -> ssl.SSLContext | bool | None:
    """What asyncpg takes as `ssl` for this address: none where its own reading of it is libpq's, too.

    Sockets need no TLS whatever the mode, the root certificates may be the system's, and `require` goes without the
    root certificate when there is no such file.
    """
    given = conninfo_to_dict(dsn)
    root = str(given.get("sslrootcert") or os.environ.get("PGSSLROOTCERT") or "")
    if str(given.get("host")).startswith("/"):
        return False
    if root == "system":
        return ssl.create_default_context()
    if given.get("sslmode") == "require" and root and not os.path.exists(root):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    return None
