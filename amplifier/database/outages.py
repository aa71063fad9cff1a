"""Classifies the errors of PostgreSQL and asyncpg: outages become Unavailable, all others are left as they are."""

import contextlib
from collections.abc import Iterator

import asyncpg

from amplifier.azure.chain import CredentialError
from amplifier.errors import TooSlow, Unavailable
from amplifier.secret_references import HELD

# The SQLSTATEs of errors after which the same statement may succeed later: shutdown and start-up (57P01 to 57P03), too
# many connections, disk full, read-only after a failover, statement or lock timeout, deadlock. `outage_of` adds whole
# classes: connection errors (08), and a refused login or database (28, 3D: a password is being changed, or a database
# restored).
_UNAVAILABLE_STATES = {
    "57P01",
    "57P02",
    "57P03",
    "57014",
    "53100",
    "53300",
    "25006",
    "55P03",
    "40001",
    "40P01",
}
_TOO_SLOW_STATES = {"57014", "55P03", "40001", "40P01"}


_LATER_CLASSES = ("08", "25", "40", "53", "55", "57")
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
    return getattr(error.__cause__ or error, "sqlstate", None) == "57014"


def outage_of(error: BaseException) -> Unavailable | None:
    """Returns Unavailable for an outage, or None for an error of the statement itself. `error` becomes its cause."""
    if isinstance(error, Unavailable):
        return error
    state = getattr(error, "sqlstate", None)
    if state in _TOO_SLOW_STATES:
        kind = TooSlow if state == "57014" else Unavailable
        return _caused(kind("The database took too long for this request."), error)
    if state in _UNAVAILABLE_STATES or (state or "").startswith(("08", "28", "3D")):
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


def _caused(outage: Unavailable, error: BaseException) -> Unavailable:
    outage.__cause__ = error
    return outage
