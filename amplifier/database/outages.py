"""Classifies the errors of PostgreSQL and asyncpg: outages become Unavailable, all others are left as they are."""

import contextlib
from collections.abc import Iterator

import asyncpg

from amplifier.azure.chain import CredentialError
from amplifier.errors import TooSlow, Unavailable
from amplifier.secret_references import HELD

# The SQLSTATEs of errors after which the same statement may succeed later, as whole classes: connection errors (08), a
# refused login or database (28, 3D: a password is being changed, or a database restored), resources that are used up
# (53: disk, memory, connections, open files), an operator's intervention (57: shutdown, start-up, a cancelled
# statement). Of other classes: read-only after a failover, limits of transactions, and a disk that reports errors.
_UNAVAILABLE_CLASSES = ("08", "28", "3D", "53", "57")
_UNAVAILABLE_STATES = {"25006", "25P03", "25P04", "58000", "58030"}
_TOO_SLOW_STATES = {"57014", "55P03", "40001", "40P01"}
# how PostgreSQL calls a statement that somebody cancelled: its SQLSTATE is the same as after statement_timeout
_CANCELLED = "canceling statement due to user request"


_LATER_CLASSES = ("08", "25", "40", "53", "55", "57", "58")
_DATA_CLASSES = ("22", "23", "54")  # values, constraints, limits of sizes


def says_later(state: str | None) -> bool:
    """Returns whether an SQLSTATE is about the server or a lock, not about the statement. True for None."""
    return not state or state[:2] in _LATER_CLASSES


def is_of_data(error: BaseException) -> bool:
    """Returns whether PostgreSQL refused the data of a statement, so that a repetition would fail, too."""
    state = getattr(error, "sqlstate", None) or ""
    return state.startswith(_DATA_CLASSES)


def is_too_slow(error: BaseException) -> bool:
    """Returns whether PostgreSQL cancelled a statement at its time limit, as it might a repetition."""
    cause = error.__cause__ or error
    return getattr(cause, "sqlstate", None) == "57014" and not _is_cancelled(cause)


def outage_of(error: BaseException) -> Unavailable | None:
    """Returns Unavailable for an outage, or None for an error of the statement itself. `error` becomes its cause."""
    if isinstance(error, Unavailable):
        return error
    state = getattr(error, "sqlstate", None) or ""
    if state in _TOO_SLOW_STATES and not _is_cancelled(error):
        kind = TooSlow if state == "57014" else Unavailable
        return _caused(kind("The database took too long for this request."), error)
    if state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE_CLASSES):
        return _caused(Unavailable("The database is not available at the moment."), error)
    if isinstance(error, asyncpg.exceptions.DataError):
        return None
    if isinstance(error, TimeoutError):
        return _caused(TooSlow("The database did not answer in time."), error)
    if isinstance(error, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return _caused(Unavailable("The database is not available at the moment."), error)
    return None


def not_connected(error: Exception) -> Unavailable | None:
    """Returns what `outage_of` does, and Unavailable also without a token or a right to the service's role.

    A refused login makes this process read rotated secrets again.
    """
    if isinstance(error, CredentialError):
        return _caused(Unavailable("The database is not available at the moment."), error)
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):  # or its subclass for a wrong password
        HELD.hurry()
    if isinstance(error, asyncpg.InsufficientPrivilegeError | asyncpg.InvalidParameterValueError):
        return _caused(Unavailable("The database refuses the role that the service works as."), error)
    return outage_of(error)


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """Raises Unavailable for an error in the context that prevents a connection. Other errors pass through."""
    try:
        yield
    except Exception as error:
        if (outage := not_connected(error)) is None:
            raise
        raise outage from error


def _is_cancelled(error: BaseException) -> bool:
    """Returns whether a DBA cancelled the statement, which says nothing about a repetition.

    Servers whose messages are not in English do not tell.
    """
    return _CANCELLED in str(error)


def _caused(outage: Unavailable, error: BaseException) -> Unavailable:
    outage.__cause__ = error
    return outage
