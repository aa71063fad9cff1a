"""The application through which all clients of fault tests call the service."""

import psycopg

from amplifier.web.authentication import generate_key

KEY = generate_key()
_CREATED = """
    insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin, settings, key_managers, act_as)
    values ('faults', 'faults', %s, %s, true, '{}', '{}', false)
"""


def add_application(dsn: str) -> None:
    """Creates the application in a database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_CREATED, (KEY.hash, KEY.prefix))  # type: ignore[arg-type]
