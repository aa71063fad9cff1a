"""Knows which servers take tokens of Microsoft Entra as passwords. For all others an address is complete.

`libpq.py` signs in psycopg and other programs, `database/connections.py` asyncpg.
"""

from typing import TYPE_CHECKING, NamedTuple

from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.azure.credential import Credential

_PATIENCE = 30.0  # seconds that a command waits for its first token while the endpoint of its identity does not answer
# the scopes of tokens by the ends of host names; the first one also serves names of one's own
_SCOPES = {
    ".postgres.database.azure.com": "https://ossrdbms-aad.database.windows.net/.default",
    ".postgres.database.usgovcloudapi.net": "https://ossrdbms-aad.database.usgovcloudapi.net/.default",
    ".postgres.database.chinacloudapi.cn": "https://ossrdbms-aad.database.chinacloudapi.cn/.default",
}
_DEFAULT = next(iter(_SCOPES.values()))
_known: "dict[_Server, str]" = {}


class _Server(NamedTuple):
    """A server as an address names it. One with a password takes no token."""

    host: str
    address: str
    port: str
    password: str


def use(settings: Settings) -> None:
    """Notes the servers of the settings if DATABASE_AUTH is `entra`. A token is sent to no other server."""
    if settings.database_auth == "entra":
        for server in (
            _server(dsn) for dsn in (settings.dsn, settings.direct_dsn, settings.read_dsn) if dsn is not None
        ):
            _known[server] = next((scope for end, scope in _SCOPES.items() if server.host.endswith(end)), _DEFAULT)


def scope(dsn: str) -> str | None:
    """Returns the scope of the tokens that the server of an address takes as passwords, or None if it takes none."""
    return _known.get(_server(dsn)) if _known else None


def token(dsn: str) -> str | None:
    """Returns a token for a server that takes tokens, else None. Blocks. Raises CredentialError."""
    wanted = scope(dsn)
    return None if wanted is None else _credential().token(wanted, _PATIENCE)


async def token_soon(dsn: str) -> str:
    """Returns a token for a server that takes tokens. Raises CredentialError."""
    return await _credential().token_soon(scope(dsn) or _DEFAULT)


def forget(dsn: str, token: str) -> bool:
    """Drops a token that the server refused, and returns whether to try another one: seldom, see `Credential`."""
    return _credential().forget(scope(dsn) or _DEFAULT, token)


def _credential() -> "Credential":
    from amplifier.azure.credential import shared  # imported here: it takes longer than the rest of a command's start

    return shared()


def _server(dsn: str) -> _Server:
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    return _Server(*(str(parts.get(name) or "") for name in ("host", "hostaddr", "port", "password")))
