"""The lines that `serve` prints when it starts: its address, its database, and the identity of callers."""

import contextlib
import logging
import sys

from amplifier import __version__, paths
from amplifier.cli import address
from amplifier.settings import Settings

logger = logging.getLogger(__name__)


def announce(settings: Settings, dsn: str) -> None:
    """Prints the facts to stderr, or logs them as one line where the log has JSON.

    Without a reader they are lost, as messages of the log are.
    """
    if settings.log_format == "json":
        logger.info("Amplifier %s starts", __version__, extra={"fields": facts(settings, dsn)})
        return
    with contextlib.suppress(BrokenPipeError):
        print("\n".join(lines(settings, dsn)), file=sys.stderr, flush=True)


def lines(settings: Settings, dsn: str) -> list[str]:
    """Returns a title and a line for each fact."""
    return [f"Amplifier {__version__}", *(f"  {name:<9} {fact}" for name, fact in facts(settings, dsn).items())]


def facts(settings: Settings, dsn: str) -> dict[str, str]:
    """Returns what is announced, by name. `dsn` is the database's address, whose password is not shown."""
    url = address.url(settings)
    where = ", on all addresses of this machine" if address.is_everywhere(settings) else ""
    found = {
        "address": f"{url}{where}",
        **_console(settings, url),
        "docs": f"{url}/docs",
        "database": database_line(settings, dsn),
        "callers": _callers(settings),
    }
    if settings.metrics_port is not None:
        found["metrics"] = f"{address.url(settings, metrics=True)}/metrics, for Prometheus"
    if not settings.encryption_keys and not settings.derivation_keys:
        found["secrets"] = "in configs are stored in clear: set CONFIG_ENCRYPTION_KEY, or a SECRET_KEY of yours"
    return found


def database_line(settings: Settings, dsn: str) -> str:
    """Returns the database, its server and the login, without a password."""
    if settings.dsn is None:
        return f"embedded PostgreSQL, data in {settings.home}"
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    host, port = parts.get("host") or parts.get("hostaddr"), parts.get("port")
    server = f"{host}:{port}" if host and port else host or "the default server"
    user = f", as {parts['user']}" if parts.get("user") else ""
    token = " with a token of Microsoft Entra" if settings.database_auth == "entra" else ""
    through = ", a pooler in transaction mode" if settings.is_pooler(dsn) else ""
    return f"{parts.get('dbname') or 'the default database'} on {server}{through}{user}{token}"


def _console(settings: Settings, url: str) -> dict[str, str]:
    if not settings.console:
        return {}
    is_built = (paths.CONSOLE / "index.html").is_file()
    return {"console": f"{url}/console" if is_built else "not built: run `make console`, and start again"}


def _callers(settings: Settings) -> str:
    if not settings.auth_required:
        return "authentication is off: every request is of user dev-user, or of the one in X-User-ID"
    verified = "SECRET_KEY" if settings.jwt_algorithm == "HS256" else "JWT_PUBLIC_KEY_URL"
    jwt = f"JWT ({settings.jwt_algorithm}, verified with {verified})"
    if settings.auth_mode == "jwt_only":
        return f"user and application by {jwt}"
    return f"application by key ({settings.api_key_header}), user by {jwt}"
