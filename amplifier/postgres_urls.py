"""Checks PostgreSQL URLs and rewrites them for libpq. The URL of the service is the property `dsn` of the settings."""

import re

# libpq, asyncpg and yoyo split a URL differently at special characters that are not written as %XX
_POSTGRES_URL = re.compile(r"(?i:postgres(ql)?)(\+\w+)?://([^/?#@\[\]]*@)?[^/?#@]*(/[^?#@]*)?(\?[^#@]*)?")


def is_postgres_url(url: str) -> bool:
    """Returns whether libpq, asyncpg and yoyo read `url` alike, and no error of libpq would show parts of it."""
    if not _POSTGRES_URL.fullmatch(url):
        return False
    import psycopg  # imported here: a start without DATABASE_URL need not wait for it
    from psycopg.conninfo import conninfo_to_dict

    try:
        port = conninfo_to_dict(libpq_url(url)).get("port")
    except (psycopg.Error, UnicodeError):
        return False
    return port is None or re.fullmatch(r"[0-9,]*", str(port)) is not None


def libpq_url(url: str) -> str:
    """Returns `url` without the name of a driver in its scheme, such as `postgresql+psycopg`."""
    return f"postgresql://{url.partition('://')[2]}"


def with_ssl_mode(url: str, mode: str) -> str:
    """Returns `url` with the mode, unless the URL has one already or the mode is `prefer`, libpq's default."""
    from psycopg.conninfo import conninfo_to_dict

    if mode == "prefer" or "sslmode" in conninfo_to_dict(url):
        return url
    return f"{url}{'&' if '?' in url else '?'}sslmode={mode}"
