"""Makes mutants of a query: copies of its text that are broken in one place, in one of ten ways.

`tests.queries.mutations` runs the checks on them.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

KINDS = (
    "a predicate is dropped",
    "two columns are swapped",
    "a column is renamed",
    "a type is changed",
    "access is widened",
    "a parameter is wrong",
    "select *",
    "no index can be used",
    "a line of the header is missing",
    "a syntax error",
)
_COLUMN = re.compile(r"^    (?!-- )([^\n]*?)(?: as (\w+))?(,?)$", re.MULTILINE)
_ROLES = re.compile(r"(\w+\.)?role (?:in \('owner', 'editor'\)|= 'owner')")
_PREDICATE = re.compile(r"^ +and [^\n]*\n|^ *where [^\n]*\n|(?<=where\n)( +[^\n]*\n)( +)and ", re.MULTILINE)
_INDEXED = re.compile(
    r"(\w+\.)?(session_id|user_id|config_id|app_id|key|token_hash|ticket_hash|stream_id|seq|api_key_prefix) "
    r"(= (?::\w+|any\(:\w+::text\[\]\)|\w+\.\w+)|> :\w+)"
)


class Mutant(NamedTuple):
    """A broken query: the kind of the fault, the changed place, and the text."""

    query: str
    kind: str
    change: str
    text: str

    def __str__(self) -> str:
        return f"{self.query}: {self.kind}: {self.change}"


def mutants(name: str, text: str) -> Iterator[Mutant]:
    """Yields all mutants of a query. Some kinds may not apply to it."""
    header, body = _parts(text)
    for kind, change, head, rest in _changes(header, body):
        changed = head + rest
        if changed != text:
            yield Mutant(name, kind, change, changed)


def _parts(text: str) -> tuple[str, str]:
    end = [match.end() for match in re.finditer(r"^--[^\n]*\n", text, re.MULTILINE)]
    return text[: end[-1]], text[end[-1] :]


def _changes(header: str, body: str) -> Iterator[tuple[str, str, str, str]]:
    dropped, swapped, renamed, typed, widened, wrong, everything, unindexed, missing, syntax = KINDS
    for match in _PREDICATE.finditer(body):
        line = match[0]
        if line.count("(") == line.count(")"):
            kept = (match[2] if match[1] else "") or ""
            end = ";\n" if line.rstrip().endswith(";") else ""
            rest = body[: match.start()].rstrip("\n") + end + "\n" + kept + body[match.end() :]
            yield dropped, " ".join((match[1] or line).split()), header, rest
    start, columns = _columns(body)
    for first, second in itertools.pairwise(columns):
        yield swapped, f"{first} and {second}", header, _replaced(body, start, columns, {first: second, second: first})
    for column in columns:
        expression, _, name = column.partition(" as ")
        name = name or expression.rpartition(".")[2]
        yield renamed, column, header, _replaced(body, start, columns, {column: f"{expression} as renamed"})
        yield typed, column, header, _replaced(body, start, columns, {column: f"array[{expression}] as {name}"})
    for access in ("public", "system", "self"):
        yield widened, f"@access {access}", re.sub(r"(?<=@access )\w+", access, header), body
    for match in _ROLES.finditer(body):
        anybody = f"{match[1] or ''}role in ('owner', 'editor', 'viewer')"
        yield widened, match[0], header, body[: match.start()] + anybody + body[match.end() :]
    names = re.findall(r"^-- @param +(\w+)", header, re.MULTILINE)
    for name in names:
        yield wrong, f":{name} misspelled", header, re.sub(rf"(?<!:):{name}\b", f":{name}x", body)
        yield (
            wrong,
            f"{name} renamed",
            re.sub(rf"\b{name}\b(?!:)", f"{name}x", header),
            re.sub(rf"(?<!:):{name}\b", f":{name}x", body),
        )
    for match in re.finditer(r"(?<!:):(\w+)", body):
        other = next((one for one in names if one != match[1] and one.endswith("_id") == match[1].endswith("_id")), "")
        if other and body.count(f":{match[1]}") > 1:
            yield (
                wrong,
                f"{match[0]} is :{other} at {match.start()}",
                header,
                (body[: match.start()] + f":{other}" + body[match.end() :]),
            )
    if columns:
        yield everything, "*", header, body.replace("".join(f"    {one},\n" for one in columns)[:-2], "    *", 1)
    for match in _INDEXED.finditer(body):
        column = f"{match[1] or ''}{match[2]}"
        wrapped = f"({column} + 0)" if match[2] == "seq" else f"({column} || '')"
        yield (
            unindexed,
            match[0],
            header,
            body[: match.start()] + wrapped + match[0][len(column) :] + body[match.end() :],
        )
    for line in re.findall(r"^-- (?:@\w+ [^\n]*|[^@\n]*)\n", header, re.MULTILINE):
        if line.startswith(("-- @param", "-- @return", "-- @access", "-- @shards", "-- @index")):
            yield missing, line.strip(), header.replace(line, "", 1), body
    yield syntax, "a comma too many", header, re.sub(r"^(select|insert|update|delete|with)\b", r"\1 ,", body, count=1)
    yield syntax, "no closing", header, re.sub(r"\)(?=[^)]*$)", "", body) if ")" in body else body.replace(" ", " (", 1)


def _columns(body: str) -> tuple[int, list[str]]:
    """Returns the start of the list of result columns, and the columns, if each is on a line of its own."""
    starts = [match.end() for match in re.finditer(r"^(?:select|returning)(?: distinct)?\n", body, re.MULTILINE)]
    inserts = re.search(r"^insert\b", body, re.MULTILINE) and not re.search(r"^returning\n", body, re.MULTILINE)
    if not starts or inserts:
        return 0, []
    start = (
        starts[-2] if re.search(r"^union\b", body, re.MULTILINE) else starts[-1]
    )  # the first branch names the columns
    columns = []
    for line in body[start:].splitlines():
        if not re.fullmatch(r"    \S.*", line) or line.count("(") != line.count(")"):
            break
        columns.append(line.strip().rstrip(",;"))
    return start, columns


def _replaced(body: str, start: int, columns: list[str], changes: dict[str, str]) -> str:
    before = ",\n".join(f"    {one}" for one in columns)
    after = ",\n".join(f"    {changes.get(one, one)}" for one in columns)
    return body[:start] + body[start:].replace(before, after, 1)
