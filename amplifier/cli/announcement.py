"""The lines that `serve` prints when it starts: its address, its database, and the identity of callers."""

import contextlib
import sys

from amplifier import __version__
from amplifier.cli import address
from amplifier.settings import Settings


def announce(settings: Settings, dsn: str) -> None:
    """Prints the lines to stderr. Without a reader they are lost, as messages of the log are."""
    with contextlib.suppress(BrokenPipeError):
        print("\n".join(lines(settings, dsn)), file=sys.stderr, flush=True)


def lines(settings: Settings, dsn: str) -> list[str]:
    """Returns a title and a line for each fact. `dsn` is the database's address, whose password is not shown."""
    url = address.url(settings)
    where = ", on all addresses of this machine" if address.is_everywhere(settings) else ""
    facts = {
        "address": f"{url}{where}",
        "docs": f"{url}/docs",
        "database": _database(settings, dsn),
        "callers": _callers(settings),
    }
    if not settings.encryption_keys and settings.derivation_key is None:
        facts["secrets"] = "in configs are stored in clear: set CONFIG_ENCRYPTION_KEY, or a SECRET_KEY of yours"
    return [f"Amplifier {__version__}", *(f"  {name:<9} {fact}" for name, fact in facts.items())]


def _database(settings: Settings, dsn: str) -> str:
    if settings.dsn is None:
        return f"embedded PostgreSQL, data in {settings.home}"
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    host, port = parts.get("host") or parts.get("hostaddr"), parts.get("port")
    server = f"{host}:{port}" if host and port else host or "the default server"
    user = f", as {parts['user']}" if parts.get("user") else ""
    return f"{parts.get('dbname') or 'the default database'} on {server}{user}"


def _callers(settings: Settings) -> str:
    if not settings.auth_required:
        return "authentication is off: everyone is user dev-user of application dev-app"
    verified = "SECRET_KEY" if settings.jwt_algorithm == "HS256" else "JWT_PUBLIC_KEY_URL"
    jwt = f"JWT ({settings.jwt_algorithm}, verified with {verified})"
    if settings.auth_mode == "jwt_only":
        return f"user and application by {jwt}"
    return f"application by key ({settings.api_key_header}), user by {jwt}"
