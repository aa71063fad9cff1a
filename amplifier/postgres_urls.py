"""Checks PostgreSQL URLs and rewrites them for libpq. The URL of the service is the property `dsn` of the settings."""

import ipaddress
import os
import re
from typing import NamedTuple

# libpq, asyncpg and yoyo split a URL differently at special characters that are not written as %XX
_POSTGRES_URL = re.compile(r"(?i:postgres(ql)?)(\+\w+)?://([^/?#@\[\]]*@)?[^/?#@]*(/[^?#@]*)?(\?[^#@]*)?")
_PORTS = re.compile(r"[0-9,]*")

_PORT = "5432"
_TARGETS = ("any", "read-write", "primary")


class Host(NamedTuple):
    """A host of an address: a name, an address or the folder of a Unix socket, and its port."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


def is_postgres_url(url: str) -> bool:
    """Returns whether libpq, asyncpg and yoyo read `url` alike, and no error of libpq would show parts of it."""
    if not _POSTGRES_URL.fullmatch(url):
        return False
    import psycopg  # imported here: a start without DATABASE_URL need not wait for it
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = conninfo_to_dict(libpq_url(url))
    except (psycopg.Error, UnicodeError):
        return False
    ports = str(parts.get("port") or "")
    return _PORTS.fullmatch(ports) is not None and ports.count(",") in (0, str(parts.get("host") or "").count(","))


def hosts_of(url: str) -> list[Host]:
    """Returns the hosts of a URL, in its order, or those of PGHOST. Empty if the driver's default is used."""
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    names = str(parts.get("host") or os.environ.get("PGHOST") or "").split(",")
    ports = str(parts.get("port") or os.environ.get("PGPORT") or _PORT).split(",")
    ports = ports * len(names) if len(ports) == 1 else ports
    return [Host(name, int(port or _PORT)) for name, port in zip(names, ports, strict=False) if name]


def with_target(url: str) -> str:
    """Returns a URL of several hosts with the demand that the server takes writes, unless it has another demand."""
    if target_of(url) is not None or len(hosts_of(url)) < 2:
        return url
    return _with(url, "target_session_attrs=read-write")


def target_of(url: str) -> str | None:
    """Returns which server a URL, or PGTARGETSESSIONATTRS, demands among its hosts."""
    from psycopg.conninfo import conninfo_to_dict

    target = conninfo_to_dict(url).get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS")
    return None if target is None else str(target)


def target_fault(url: str) -> str | None:
    """Returns why the servers that a URL demands are not fit for the service, or None."""
    if target_of(url) in (None, *_TARGETS):
        return None
    return f"target_session_attrs in DATABASE_URL must be one of {', '.join(_TARGETS)}: the service writes"


def libpq_url(url: str) -> str:
    """Returns `url` without the name of a driver in its scheme, such as `postgresql+psycopg`."""
    return f"postgresql://{url.partition('://')[2]}"


def with_ssl_mode(url: str, mode: str) -> str:
    """Returns `url` with the mode, unless the URL has one already or the mode is `prefer`, libpq's default."""
    from psycopg.conninfo import conninfo_to_dict

    if mode == "prefer" or "sslmode" in conninfo_to_dict(url):
        return url
    return _with(url, f"sslmode={mode}")


def _with(url: str, parameter: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{parameter}"


def fault_with_tokens(url: str) -> str | None:
    """Returns why a URL is not fit for signing in with tokens, or None.

    A token enters every database that its owner may enter, so it is sent only to a server that TLS has verified, or to
    this machine.
    """
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    if parts.get("password"):
        return "DATABASE_URL must have no password when DATABASE_AUTH is entra: a token takes its place"
    if not parts.get("user"):
        return "DATABASE_USER must be the name of the Entra principal at the database when DATABASE_AUTH is entra"
    if parts.get("sslmode") in ("verify-ca", "verify-full"):
        return None
    host = parts.get("hostaddr") or os.environ.get("PGHOSTADDR") or parts.get("host") or os.environ.get("PGHOST") or "/"
    if all(_is_local(part) for part in str(host).split(",")):
        return None
    return (
        "DATABASE_SSL_MODE must be verify-full when DATABASE_AUTH is entra: "
        "a token must not reach a server that TLS has not verified"
    )


def _is_local(host: str) -> bool:
    try:
        return host.startswith(("/", "@")) or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
