"""Checks PostgreSQL URLs and rewrites them for libpq. The URL of the service is the property `dsn` of the settings."""

import ipaddress
import os
import re
from typing import NamedTuple
from urllib.parse import quote, urlencode

# libpq, asyncpg and yoyo split a URL differently at special characters that are not written as %XX
_POSTGRES_URL = re.compile(r"(?i:postgres(ql)?)(\+\w+)?://([^/?#@\[\]]*@)?[^/?#@]*(/[^?#@]*)?(\?[^#@]*)?")
_PORTS = re.compile(r"[0-9,]*")

_PORT = "5432"
_TARGETS = ("any", "read-write", "primary")
_READ_TARGETS = ("any", "standby", "read-only")


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


def password_of(url: str) -> str | None:
    """Returns the password of a URL, or None."""
    from psycopg.conninfo import conninfo_to_dict

    found = conninfo_to_dict(url).get("password")
    return None if found is None else str(found)


def with_target(url: str, target: str = "read-write") -> str:
    """Returns a URL of several hosts with the server that it demands among them, unless it names one."""
    if target_of(url) is not None or len(hosts_of(url)) < 2:
        return url
    return _with(url, f"target_session_attrs={target}")


def target_of(url: str) -> str | None:
    """Returns which server a URL, or PGTARGETSESSIONATTRS, demands among its hosts."""
    from psycopg.conninfo import conninfo_to_dict

    target = conninfo_to_dict(url).get("target_session_attrs") or os.environ.get("PGTARGETSESSIONATTRS")
    return None if target is None else str(target)


def target_fault(url: str, reads: bool = False) -> str | None:
    """Returns why the servers that a URL demands are not fit for the service, or for its reads, or None."""
    fit = _READ_TARGETS if reads else _TARGETS
    if target_of(url) in (None, *fit):
        return None
    if reads:
        return f"target_session_attrs in DATABASE_READ_URL must be one of {', '.join(fit)}: it is for reads only"
    return f"target_session_attrs in DATABASE_URL must be one of {', '.join(fit)}: the service writes"


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


def with_login_of(url: str, other: str) -> str:
    """Returns `url` with the user, the password and the database of another URL where it has none.

    A password is taken only for the same user.
    """
    from psycopg.conninfo import conninfo_to_dict

    parts, given = (
        {name: str(value) for name, value in conninfo_to_dict(one).items() if value is not None} for one in (url, other)
    )
    if parts.get("user") not in (None, given.get("user")):
        given.pop("password", None)
    login = {name: parts.pop(name, given.get(name)) for name in ("user", "password", "dbname")}
    user, password, database = (None if part is None else quote(part, safe="") for part in login.values())
    signed = f"{user or ''}{'' if password is None else f':{password}'}"
    options = urlencode(parts, quote_via=quote)  # libpq does not decode a plus sign to a space
    return f"postgresql://{signed and f'{signed}@'}/{database or ''}?{options}"


def same_server(url: str, other: str) -> bool:
    """Returns whether two URLs name the same hosts and ports."""
    from psycopg.conninfo import conninfo_to_dict

    one, two = (conninfo_to_dict(address) for address in (url, other))
    names = ("host", "hostaddr", "port")
    return [str(one.get(name) or "") for name in names] == [str(two.get(name) or "") for name in names]


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
