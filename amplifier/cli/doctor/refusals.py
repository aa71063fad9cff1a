"""Refusals of a sign-in, by the server, its firewall or a pooler: what is wrong, and what mends it."""

import re

import asyncpg

from amplifier.cli.doctor import azure
from amplifier.cli.doctor.findings import Fault
from amplifier.cli.doctor.target import Target
from amplifier.database.connections import ROLE
from amplifier.errors import OperatorError, Unavailable, one_line

ROLES = "migrations/README.md, Roles"
POOLING = "Or DATABASE_POOLER=transaction and DATABASE_LISTEN_URL: docs/operations.md, Behind a pooler"
_ADDRESS = re.compile(r'for host "([^"]+)"')


def refusal(target: Target, error: BaseException) -> Fault:
    """Returns the fault for an error of the sign-in."""
    if isinstance(error, Unavailable) and error.__cause__ is not None:
        error = error.__cause__
    said = one_line(error) or type(error).__name__
    state = getattr(error, "sqlstate", None) or ""
    if isinstance(error, TimeoutError):
        remedy = "see the server's load and log; a firewall may let connections begin and then drop them"
        return Fault("no answer within 4 s", "the server accepts the connection and does not answer", remedy)
    known = {
        "28P01": _wrong_password,
        "28000": _not_let_in,
        "3D000": _no_database,
        "53300": _full,
        "57P03": _starting,
        "42501": _no_right_to_connect,
        "08P01": _pooler,
    }
    if state in known:
        return known[state](target, said)
    if isinstance(error, OperatorError):
        return Fault("there is no token for the sign-in", said, "see AZURE_CLIENT_ID and the identity of this machine")
    if isinstance(error, asyncpg.ClientConfigurationError):
        return Fault(said, "the address of the database is not understood", "correct DATABASE_URL")
    if isinstance(error, OSError):
        return Fault(
            said, "the connection is refused, or breaks", "see whether the server runs; name it in DATABASE_URL"
        )
    return Fault(f"{type(error).__name__}: {said}", "the sign-in failed", "see the message, and the log of the server")


def _wrong_password(target: Target, said: str) -> Fault:
    if target.settings.database_auth == "entra":
        return _refused_token(target, said)
    variable = "DATABASE_URL" if target.settings.database_url is not None else "DATABASE_PASSWORD"
    problem = "the password is wrong, or there is no such login (PostgreSQL does not say which)"
    if not target.parts.get("password"):
        problem = "the login needs a password, and none is configured"
    remedy = (
        f"correct the password in {variable} (special characters of a URL as %XX), or give the login another one, as "
        f"an administrator:\nalter role {quoted(target.user)} password '...';"
    )
    if target.user == target.settings.database_service_user:
        remedy += "\nor, as the owner of the database:\nDATABASE_SERVICE_PASSWORD=... amplifier-api migrate"
    return Fault(said, problem, remedy)


def _refused_token(target: Target, said: str) -> Fault:
    name = target.user.replace("'", "''")
    remedy = (
        "set DATABASE_USER to the name of this machine's identity; if the server does not know it, run as an Entra "
        f"administrator, in the database postgres:\nselect * from pgaadauth_create_principal('{name}', false, false);\n"
        f"and in the database {target.database}:\ngrant {ROLE} to {quoted(target.user)};"
    )
    return Fault(said, "the server refuses the token: the login is not the principal that the token is of", remedy)


def _not_let_in(target: Target, said: str) -> Fault:
    if "pg_hba.conf" in said:
        return _refused_by_address(target, said)
    login = quoted(target.user)
    if "not permitted to log in" in said:
        return Fault(said, "the role has no login", f"as an administrator:\nalter role {login} login;")
    if "does not exist" in said:
        return Fault(
            said,
            "there is no such login",
            f"make it as the owner of the database ({ROLES}):\nDATABASE_SERVICE_PASSWORD=... amplifier-api migrate\n"
            f"or as an administrator:\ncreate role {login} login password '...' in role {ROLE};",
        )
    return Fault(
        said,
        "the server's rules do not let this login in in this way",
        "see the line of pg_hba.conf that fits the database, the login and this machine's address: select * from "
        "pg_hba_file_rules; peer and ident need the same name of the system's user, cert a client certificate",
    )


def _refused_by_address(target: Target, said: str) -> Fault:
    """Returns the fault for "no pg_hba.conf entry", which is also what Azure's firewall says."""
    found = _ADDRESS.search(said)
    if azure.is_azure(target.host):
        remedy = azure.open_firewall(target.host, found and found[1])
        if "no encryption" in said or "SSL off" in said:
            remedy = f"DATABASE_SSL_MODE=verify-full: the server refuses connections without TLS; then\n{remedy}"
        return Fault(said, "the firewall of the server does not let this address in", remedy)
    kind = "host" if target.may_be_in_clear else "hostssl"
    network = f"{found[1]}/{128 if ':' in found[1] else 32}" if found else "ADDRESS/32"
    line = f"{kind} {target.database} {target.user} {network} scram-sha-256"
    if target.hosts and target.hosts[0].is_socket:
        line = f"local {target.database} {target.user} scram-sha-256"
    return Fault(
        said,
        "pg_hba.conf of the server has no line that lets this login in from this address",
        f"add a line, then reload the server (select pg_reload_conf()):\n{line}\n"
        "If it has one for hostssl only, turn TLS on here: DATABASE_SSL_MODE=verify-full",
    )


def _no_database(target: Target, said: str) -> Fault:
    remedy = (
        f"correct DATABASE_NAME or DATABASE_URL, or make it as an administrator and migrate:\n"
        f"create database {quoted(target.database)};\namplifier-api migrate"
    )
    if azure.is_azure(target.host):
        remedy += (
            f"\nor: az postgres flexible-server db create --resource-group GROUP --server-name "
            f"{azure.server_name(target.host)} --database-name {target.database}"
        )
    return Fault(said, f"there is no database {target.database!r} on this server", remedy)


def _full(target: Target, said: str) -> Fault:
    remedy = (
        "see what holds them, as an administrator:\nselect usename, application_name, state, count(*) "
        "from pg_stat_activity group by 1, 2, 3 order by 4 desc;\n"
        "then lower DATABASE_POOL_MAX_SIZE or SERVICE_WORKERS of the processes, end what is not needed, or raise "
        "the limit"
    )
    if "for role" in said or "for database" in said:
        kind, name = ("role", target.user) if "for role" in said else ("database", target.database)
        problem = f"the {kind} has as many connections as it may have"
        return Fault(said, problem, f"{remedy}:\nalter {kind} {quoted(name)} connection limit ...;")
    if azure.is_azure(target.host):
        remedy += f":\n{azure.set_parameter(target.host, 'max_connections', '...')}"
    return Fault(said, "all connections of the server (max_connections) are in use", remedy)


def _starting(_: Target, said: str) -> Fault:
    remedy = "wait, and run the command again; if that does not help, see the server's log"
    return Fault(said, "the server is starting, stopping or recovering", remedy)


def _no_right_to_connect(target: Target, said: str) -> Fault:
    grant = f"grant connect on database {quoted(target.database)} to {quoted(target.user)};"
    return Fault(said, "the login may not connect to this database", f"as an administrator:\n{grant}")


def _pooler(_: Target, said: str) -> Fault:
    remedy = (
        "let the service connect to PostgreSQL itself (on Azure: port 5432, not 6432); if the pooler must be in "
        f"between, use pool_mode = session, and see its log and its lists of databases and users. {POOLING}"
    )
    return Fault(said, "a connection pooler refuses the connection", remedy)


def quoted(name: str) -> str:
    """Returns a name as SQL writes it."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'
