"""Creates the service's login at the database: a member of `amplifier_app` that owns nothing and has no other right.

Roles are described in `migrations/README.md`.
"""

import contextlib
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from amplifier import libpq
from amplifier.database import pooler
from amplifier.database.connections import HAS_CITUS, ROLE, session_settings
from amplifier.errors import OperatorError, one_line
from amplifier.schema import migrate
from amplifier.settings import Settings

_ATTRIBUTES = """
select
    rolcanlogin,
    rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls,
    array(
        select roleid::regrole::text
        from pg_auth_members
        where
            member = r.oid
            and roleid <> %s::regrole
    )
from pg_roles as r
where rolname = %s
"""
# The reason why the role does not confine the login of this connection; null for a login that `ensure` created.
EXCESS = """
select
    case
        when r.rolsuper then 'is a superuser'
        when pg_has_role(r.oid, c.relowner, 'member') then 'owns the tables'
    end
from pg_roles as r
cross join pg_class as c
where
    r.rolname = session_user
    and c.oid = to_regclass('public.sessions')
"""


class LoginError(OperatorError):
    """Raised when the service's login cannot be created or used. The message says why."""


def ensure(dsn: str, login: str, password: str | None = None, is_principal: bool = False) -> None:
    """Creates `login` if it is missing, grants it the service's role, and sets its password if one is given.

    `dsn` logs in as an administrator. The password is sent as a SCRAM verifier, so that statement logs do not show it.
    If `is_principal` is true, a missing login is created for the principal of Microsoft Entra that has this name.
    Raises LoginError.
    """
    try:
        with migrate.exclusively(dsn), libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            name = Identifier(login)
            if _found(connection, login) is None and is_principal:
                _create_principal(dsn, login)
            elif _found(connection, login) is None:
                # roles are shared by all databases: another process may create it at the same time
                with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                    connection.execute(SQL("create role {} login").format(name))
            _refuse_excess(connection, login)
            if connection.execute("select pg_has_role(%s, %s, 'member')", (login, ROLE)).fetchone() == (False,):
                connection.execute(SQL("grant {} to {}").format(Identifier(ROLE), name))
            if password is not None:
                verifier = connection.pgconn.encrypt_password(password.encode(), login.encode()).decode()
                connection.execute(SQL("alter role {} password {}").format(name, Literal(verifier)))
    except psycopg.Error as error:
        raise LoginError(
            f"the login {login} of the service could not be made: {error}\n"
            "an administrator does that as migrations/README.md says under Roles; unset "
            f"{'DATABASE_SERVICE_USER' if is_principal else 'DATABASE_SERVICE_PASSWORD'} then"
        ) from error


def settle(dsn: str, login: str, settings: Settings) -> None:
    """Gives `login` the settings that connections of the service send at their start where no pooler is in between.

    Raises LoginError.
    """
    commands: list[str] = []
    try:
        with migrate.exclusively(dsn), libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            if connection.execute("select session_user = %s", (login,)).fetchone() == (True,):
                raise LoginError(
                    f"the login {login} migrates, and cannot be the service's behind a pooler: name another one in "
                    "DATABASE_SERVICE_USER"
                )
            [database] = connection.execute("select current_database()").fetchone() or ("",)
            [has_citus] = connection.execute(HAS_CITUS).fetchone() or (False,)
            commands = pooler.statements(login, database, session_settings(settings, has_citus))
            for command in commands:
                connection.execute(command.encode())
    except psycopg.Error as error:
        raise LoginError(
            f"the login {login} did not get its settings for the pooler: {one_line(error)}\n"
            "run as that login, or as an administrator:\n" + ";\n".join(commands) + ";"
        ) from error


def exists(dsn: str, login: str) -> bool:
    """Returns whether a role of this name exists. Raises LoginError."""
    try:
        with libpq.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            return _found(connection, login) is not None
    except psycopg.Error as error:
        raise LoginError(f"the database cannot be asked: {one_line(error)}") from error


def _create_principal(dsn: str, login: str) -> None:
    """Creates the login by Azure's function, which only the database `postgres` has."""
    try:
        with libpq.connect(dsn, dbname="postgres", autocommit=True, connect_timeout=5) as connection:
            connection.execute("select pgaadauth_create_principal(%s, false, false)", (login,))
    except psycopg.errors.UndefinedFunction as error:
        raise LoginError(
            f"the role {login} is missing, and this server cannot make it for a principal of Microsoft Entra: turn on "
            "its Entra authentication, or unset DATABASE_SERVICE_USER"
        ) from error


def _found(connection: "psycopg.Connection[Any]", login: str) -> "tuple[Any, ...] | None":
    return connection.execute(_ATTRIBUTES, (ROLE, login)).fetchone()


def _refuse_excess(connection: "psycopg.Connection[Any]", login: str) -> None:
    """Raises LoginError if the role may not log in, has attributes such as superuser, or is a member of other roles."""
    found = _found(connection, login)
    can_login, is_mighty, others = found or (False, False, [])
    if is_mighty or others:
        reason = f"is a member of {', '.join(others)}" if others else "has attributes such as superuser or createrole"
        raise LoginError(f"the role {login} {reason}: name another one in DATABASE_SERVICE_USER")
    if not can_login:
        raise LoginError(f"the role {login} may not log in: name another one in DATABASE_SERVICE_USER")
