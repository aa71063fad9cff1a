"""The root certificates of the system, for `sslmode=verify-full`; and why a certificate was not accepted."""

import os
import socket
import ssl
from pathlib import Path
from urllib.parse import quote

_BUNDLES = (  # of Debian and Alpine, Red Hat, SUSE, macOS
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"  # asks a PostgreSQL server for TLS
_LIMIT = 5.0  # seconds
_EXPIRED = (9, 10)  # OpenSSL's numbers for certificates that are not yet valid, or no longer
_MISNAMED = (62, 64)  # and for those of other hosts and addresses


def bundle() -> str:
    """Returns the file with the system's root certificates, or that of `SSL_CERT_FILE`.

    psycopg brings an OpenSSL along that looks for them in folders that most systems do not have.
    """
    given = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if given is not None:
        return given
    if found := next((path for path in _BUNDLES if Path(path).is_file()), None):
        return found
    import certifi

    return certifi.where()


def with_roots(url: str) -> str:
    """Returns a URL whose mode is `verify-full` with the system's root certificates, and every other URL as it is.

    Those that `sslrootcert` or PGSSLROOTCERT names take precedence, and those in libpq's `~/.postgresql/root.crt`.
    """
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(url)
    if parts.get("sslmode") != "verify-full" or all(host[:1] == "/" for host in str(parts.get("host")).split(",")):
        return url
    if _named(parts.get("sslrootcert")) not in (None, "system"):
        return url
    return f"{url}&sslrootcert={quote(bundle(), safe='/')}"  # the last of two counts


def fault(dsn: str) -> str | None:
    """Connects to an address to find out why its certificate is not accepted. Returns that in words, or None.

    libpq's own message does not say it.
    """
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    host, port = (str(parts.get(name) or "").partition(",")[0] for name in ("host", "port"))
    roots = _named(parts.get("sslrootcert")) or bundle()
    try:
        context = ssl.create_default_context(cafile=bundle() if roots == "system" else roots)
        context.check_hostname = parts.get("sslmode") == "verify-full"
        with socket.create_connection((str(parts.get("hostaddr") or host), int(port or 5432)), _LIMIT) as connection:
            connection.sendall(_REQUEST)
            if connection.recv(1) == b"S":
                context.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return in_words(error, roots)
    except (OSError, ValueError):
        return None
    return None


def in_words(error: ssl.SSLCertVerificationError, roots: str) -> str:
    """Returns what is wrong with a server's certificate, and what to do."""
    if error.verify_code in _EXPIRED:
        return (
            f"the server's certificate is not valid at this time ({error.verify_message}): renew it, or set the clock"
        )
    if error.verify_code in _MISNAMED:
        return f"{error.verify_message}: use the host name that the server's certificate has"
    return (
        f"the server's certificate is of an authority that is not among the root certificates in {roots} "
        f"({error.verify_message}): name the file with the authority's own in PGSSLROOTCERT"
    )


def _named(root: object) -> str | None:
    """Returns the root certificates that libpq uses where an address names `root`, None where there are none."""
    if found := str(root or os.environ.get("PGSSLROOTCERT") or ""):
        return found
    own = Path("~/.postgresql/root.crt").expanduser()
    return str(own) if own.exists() else None
