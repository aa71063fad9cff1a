"""Connects psycopg, and other programs that use libpq, with the password of the moment. Says in words why TLS fails."""

import os
from typing import TYPE_CHECKING, Any

from amplifier import sign_in, tls_roots
from amplifier.postgres_urls import hosts_of

if TYPE_CHECKING:
    import psycopg

_CONNECTING = "5"  # seconds for each of several hosts: by default, one that swallows packets takes minutes


def connect(dsn: str, **options: Any) -> "psycopg.Connection[Any]":
    """Returns a connection of psycopg. Raises psycopg.Error, and CredentialError if there is no token to sign in with.

    If the server refuses a token that was kept, tries once more with a new one.
    """
    import psycopg

    token = sign_in.token(dsn)
    options = _limit(dsn) | options
    try:
        return psycopg.connect(dsn, **options, **_password(token))
    except psycopg.OperationalError as error:
        if token is not None and "authentication" in str(error) and sign_in.forget(dsn, token):
            return psycopg.connect(dsn, **options, **_password(sign_in.token(dsn)))
        if "certificate verify failed" in str(error) and (fault := tls_roots.fault(dsn)):
            raise psycopg.OperationalError(f"{error}: {fault}") from error
        raise


def environ(dsn: str) -> dict[str, str]:
    """Returns the variables for a program that connects to an address. Raises CredentialError."""
    token = sign_in.token(dsn)
    limit = {f"PG{name.upper()}": value for name, value in _limit(dsn).items()}
    return limit if token is None else {**limit, "PGPASSWORD": token}


def parameters(dsn: str) -> dict[str, Any]:
    """Returns the parameters of an address and the password. Raises CredentialError."""
    from psycopg.conninfo import conninfo_to_dict

    return _limit(dsn) | conninfo_to_dict(dsn) | _password(sign_in.token(dsn))


def _limit(dsn: str) -> dict[str, str]:
    """Returns the limit for each of several hosts. A single host has none here, as it has none in libpq."""
    has_limit = len(hosts_of(dsn)) < 2 or os.environ.get("PGCONNECT_TIMEOUT")
    return {} if has_limit else {"connect_timeout": _CONNECTING}


def _password(token: str | None) -> dict[str, Any]:
    return {} if token is None else {"password": token}
