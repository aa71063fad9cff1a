"""Makes one statement of a query and the query that its header names after `@with`: a change and its audit entry.

The added query reads from `(select ...) as outcome`, which stands for the result of the query that it is added to. One
Statement in `queries/README.md` describes the pattern.
"""

import re
from typing import TYPE_CHECKING

from amplifier.queries.header import Header

if TYPE_CHECKING:
    from amplifier.queries.query import Parsed

SHARED = {"actor_id", "actor_app_id", "session_id"}  # parameters that are the same in both
_ADDED = re.compile(r"(\w+\.\w+)(?:: (\S.*))?")
_NESTED = re.compile(r"'(?:''|[^'])*'|\([^()]*\)")
_LAST = re.compile(r"\b(?:select|insert|update|delete)\b", re.IGNORECASE)
_RETURNING = re.compile(r"\breturning\b", re.IGNORECASE)
_READING = "(select {} from returned_rows) as outcome"
_OUTCOME = re.compile(r"\(select ([^()]*)\) as outcome\b")


class NotJoined(Exception):
    """The reason why two queries do not make one statement."""


def added_name(header: Header) -> str:
    """Returns the name of the query that a header names after `@with`, or an empty string."""
    found = _ADDED.fullmatch(header.added or "")
    return "" if found is None else found[1]


def joined(query: "Parsed", added: "Parsed") -> str:
    """Returns the text of a statement that runs `query`, then `added` for each row, and returns the rows.

    Lines of `query` keep their numbers. Raises NotJoined.
    """
    if twice := set(query.parameters) & set(added.parameters) - SHARED:
        raise NotJoined(f"both it and {added.name} have the parameter {', '.join(sorted(twice))}")
    columns = _ADDED.fullmatch(query.header.added or "")[2]  # type: ignore[index]
    text, places = _OUTCOME.subn(lambda found: _READING.format(columns or found[1]), added.raw)
    if places != 1:
        raise NotJoined(f"{added.name} does not read from (select ...) as outcome")
    before, last, returning = _divided(query.raw.rstrip().rstrip(";"))
    return (
        f"{before}{last}{returning}\n), added_row as (\n{text.rstrip().rstrip(';')}\n)\n\nselect * from returned_rows"
    )


def _divided(sql: str) -> tuple[str, str, str]:
    """Returns a statement's common table expressions, with the head of another one, and what follows them.

    The third part makes a change return its rows, if it does not.
    """
    flat = sql
    while (shorter := _NESTED.sub(lambda nested: " " * len(nested[0]), flat)) != flat:
        flat = shorter
    last = _LAST.search(flat)
    if last is None:
        raise NotJoined("it does not end with select, insert, update or delete")
    is_silent = last[0].lower() != "select" and _RETURNING.search(flat, last.end()) is None
    returning = "\nreturning true" if is_silent else ""
    if flat[:4].lower() != "with":
        return "with returned_rows as (", sql, returning
    before = sql[: last.start()].rstrip()
    return f"{before}, returned_rows as (", sql[len(before) :], returning
