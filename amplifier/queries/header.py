"""The header of a query: parses its lines, and checks the rules that need no database.

`queries/README.md` documents the tags. Checks against a database are in `amplifier.queries.checks`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

ACCESS = ("participant", "owner", "self", "public", "system")
SHARDS = ("one", "all", "local")
_WITHOUT_ACTOR = ("public", "system")
_ACTORS = {"actor_id", "actor_ids"}  # the caller, or several readers that one call serves
_VERBS = ("select", "with", "insert", "update", "delete")
_SESSION_STATE = re.compile(r"\b(set_config|pg_advisory_lock\w*)\s*\(", re.IGNORECASE)
_PARAM = re.compile(r"^@param\s+(\w+)\s+(\S.*)$", re.MULTILINE)
_TAG = re.compile(r"^@(return|access|shards|index|cost|with)\s+(\S.*)$", re.MULTILINE)
_RETURN = re.compile(r"(\w+)(\[\]| \| none)?|row count")
_NESTED = re.compile(r"'(?:''|[^'])*'|\([^()]*\)")
_EVERY_COLUMN = re.compile(r"(?:\bselect|\breturning|,)\s+(?:\w+\.)?\*", re.IGNORECASE)
# the kinds of result that each operator may return
_RESULTS = {
    "SELECT": "Struct[]",
    "SELECT_ONE": "Struct or Struct | none",
    "SELECT_VALUE": "value or value | none",
    "INSERT_UPDATE_DELETE": "row count",
}

Problem = tuple[str, str]  # the problem and its remedy


class Header(NamedTuple):
    """The parsed lines of a header. `uses` is the value of `@index`, `cost` the limit for the cost of a plan, `added`
    the value of `@with`."""

    sentence: str
    params: dict[str, str]
    returns: str | None
    access: str | None
    shards: str | None
    uses: str | None
    cost: str | None
    added: str | None = None

    @property
    def struct(self) -> str | None:
        """The name of the struct of a row, or None if the query returns a value or a row count."""
        name = (self.returns or "").removesuffix("[]").removesuffix(" | none")
        return None if name in ("value", "row count", "") else name

    @property
    def indexes(self) -> list[list[str]]:
        """The indexes that a plan must use: for each, the list of acceptable alternatives."""
        if self.uses is None or self.uses == "none":
            return []
        return [re.split(r"\s+or\s+", one.strip()) for one in self.uses.split(",")]

    def is_nullable(self, parameter: str) -> bool:
        """Returns whether the parameter's line says `or null`, so that callers may pass None."""
        return re.search(r"\bor null\b", self.params.get(parameter, "")) is not None


def parse(doc: str) -> Header:
    """Parses the header in the comments of a query."""
    tags = dict(_TAG.findall(doc))
    returns = tags.get("return")
    return Header(
        doc.partition("\n@")[0] if not doc.startswith("@") else "",
        dict(_PARAM.findall(doc)),
        returns.strip() if returns else None,
        tags.get("access"),
        tags.get("shards"),
        tags.get("index"),
        tags.get("cost"),
        tags.get("with"),
    )


def checked(header: Header, operator: str, parameters: list[str], sql: str) -> Iterator[Problem]:
    """Yields the problems of a header and of the statement below it."""
    if not header.sentence:
        yield "the header needs a sentence that says what comes back or changes", "write it below the name"
    documented = list(header.params)
    if sorted(documented) != sorted(parameters):
        yield (
            f"the header documents @param {documented}, the query declares {parameters}",
            "one @param line for each parameter",
        )
    values = {"return": header.returns, "access": header.access, "shards": header.shards, "index": header.uses}
    for tag, value in values.items():
        if value is None:
            yield f"the header lacks @{tag}", f"add a line like: {_EXAMPLES[tag]}"
    yield from _checked_tags(header, operator, parameters)
    yield from _checked_statement(sql)


def _checked_tags(header: Header, operator: str, parameters: list[str]) -> Iterator[Problem]:
    if header.returns is not None and _kind(header.returns) not in _RESULTS[operator].split(" or "):
        yield (
            f"@return {header.returns} does not go with its operator",
            f"this operator brings back {_RESULTS[operator]}",
        )
    if header.access is not None and header.access not in ACCESS:
        yield f"@access {header.access} is not one of {', '.join(ACCESS)}", "see the table in queries/README.md"
    elif header.access not in (*_WITHOUT_ACTOR, None) and not _ACTORS & set(parameters):
        yield (
            f"@access {header.access} needs the parameter actor_id, the caller",
            "declare it, and compare a column with it",
        )
    if header.shards not in (*SHARDS, None):
        yield f"@shards {header.shards} is not one of {', '.join(SHARDS)}", "see Shards in queries/README.md"
    if header.cost is not None and not header.cost.isdecimal():
        yield (
            f"@cost {header.cost} is not a whole number",
            "the most that the planner may estimate, as EXPLAIN shows it",
        )


def _checked_statement(sql: str) -> Iterator[Problem]:
    if not sql.lower().startswith(_VERBS):
        yield f"a query begins with one of {', '.join(_VERBS)}", "one statement, and no comment before it"
    if found := _SESSION_STATE.search(sql):
        yield f"{found[1]} changes the connection, which other requests use next", "take it out"
    if _EVERY_COLUMN.search(_outermost(sql)):
        yield "`*` brings back whatever columns a table has some day", "list the columns in the order of the struct"


def _kind(returns: str) -> str:
    """Returns the value of `@return` with `Struct` in place of the struct's name."""
    found = _RETURN.fullmatch(returns)
    return returns if found is None or found[1] in ("value", None) else f"Struct{found[2] or ''}"


def _outermost(sql: str) -> str:
    """Returns a statement without the text in parentheses or quotes."""
    while (shorter := _NESTED.sub(" ", sql)) != sql:
        sql = shorter
    return sql


_EXAMPLES = {
    "return": "@return Session | none",
    "access": "@access participant",
    "shards": "@shards one",
    "index": "@index  sessions_pkey",
}
