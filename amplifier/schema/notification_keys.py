"""The keys that sign notifications, which every database has for itself. A migration makes them.

Prepared files of new databases have none, so that no two databases share them.
"""

import psycopg

from amplifier import libpq
from amplifier.schema import migrate

_MISSING = "select not exists (select from notification_keys)"
_PART = b" || ".join([b"uuid_send(gen_random_uuid())"] * 4)
_MAKE = b"insert into notification_keys (inner_key, outer_key) select %b, %b on conflict do nothing" % (_PART, _PART)


def ensure(dsn: str) -> None:
    """Makes the keys if the database has none. Raises SchemaError."""
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            if connection.execute(_MISSING).fetchone() == (True,):
                connection.execute(_MAKE)
    except psycopg.Error as error:
        raise migrate.SchemaError(f"the keys of notifications could not be made: {error}") from error


def remove(dsn: str) -> None:
    """Removes the keys. Raises psycopg.Error."""
    with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        connection.execute("truncate notification_keys")
