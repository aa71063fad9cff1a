"""Loads `queries/*.sql`: one namespace a file, one callable a query, which demands exactly the declared arguments."""

import re
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import aiosql
from aiosql.utils import VAR_REF, SQLLoadException, SQLParseException

from amplifier.database import Database, Executor
from amplifier.settings import OperatorError

_METHODS = {"SELECT": "fetch", "SELECT_ONE": "fetchrow", "SELECT_VALUE": "fetchval", "INSERT_UPDATE_DELETE": "execute"}
_ACCESS = ("participant", "owner", "self", "public", "system")
_WITHOUT_ACTOR = ("public", "system")
_ACTORS = {"actor_id", "actor_ids"}  # the caller, or several readers that are served at once
_VERBS = ("select", "with", "insert", "update", "delete")
_SESSION_STATE = re.compile(r"\b(set_config|pg_advisory_lock\w*)\s*\(", re.IGNORECASE)
_PARAM = re.compile(r"^@param\s+(\w+)\s+\S", re.MULTILINE)
_TAG = re.compile(r"^@(return|access|index)\s+(\S.*)$", re.MULTILINE)


class QueriesError(OperatorError):
    """A query is wrong; the message gives file, line, query and reason, one finding a line."""


class Query:
    """One named query. Call it with all its declared parameters by name, and with no others.

    It runs on the database it was loaded for, or on a connection given first (inside a transaction). What comes back
    follows its operator: none a list of records, `^` a record or none, `$` a value, `!` the number of rows changed.
    """

    __slots__ = (
        "_count",
        "_database",
        "_method",
        "_pick",
        "access",
        "doc",
        "file",
        "index",
        "line",
        "name",
        "parameters",
        "returns",
        "statement",
    )

    def __init__(self, database: Database, namespace: str, datum: Any, parameters: list[str]) -> None:
        self.name = f"{namespace}.{datum.query_name}"
        self.file, self.line = Path(datum.floc[0]), int(datum.floc[1])
        self.doc: str = datum.doc_comments or ""
        if datum.operation_type.name not in _METHODS:
            raise self.wrong("only the operators ^, $, ! and none are in use here")
        self.parameters = parameters
        tags = dict(_TAG.findall(self.doc))
        self.access, self.returns, self.index = tags.get("access"), tags.get("return"), tags.get("index")
        self.statement = f"/* {self.name} */ {datum.sql}"
        self._database = database
        self._method = _METHODS[datum.operation_type.name]
        self._count = len(parameters)
        self._pick = itemgetter(*parameters) if len(parameters) > 1 else None
        self._check_header(datum.sql)

    async def __call__(self, connection: Executor | None = None, /, **arguments: Any) -> Any:
        if len(arguments) != self._count:
            raise self._wrong_arguments(arguments)
        try:
            values = self._pick(arguments) if self._pick else [arguments[name] for name in self.parameters]
        except KeyError:
            raise self._wrong_arguments(arguments) from None
        result = await getattr(connection or self._database, self._method)(self.statement, *values)
        return int(result.rpartition(" ")[2]) if self._method == "execute" else result

    def wrong(self, reason: str, line: int | None = None) -> QueriesError:
        """The finding `reason` about this query."""
        return QueriesError(f"{self.file}:{line or self.line}: {self.name}: {reason}")

    def line_of(self, position: int) -> int:
        """The file's line for a character position in the statement, as PostgreSQL reports it (from 1)."""
        lines_before = self.statement[: position - 1].count("\n")
        body = self.file.read_text().splitlines()[self.line :]
        code = [number for number, text in enumerate(body, self.line + 1) if text.strip() and not _is_comment(text)]
        spaced = [number for number, text in enumerate(body, self.line + 1) if not _is_comment(text)]
        return spaced[spaced.index(code[0]) + lines_before]

    def _wrong_arguments(self, arguments: dict[str, Any]) -> TypeError:
        return TypeError(f"{self.name} takes exactly {sorted(self.parameters)}, got {sorted(arguments)}")

    def _check_header(self, sql: str) -> None:
        if not self.doc or self.doc.startswith("@"):
            raise self.wrong("the header needs a sentence that says what comes back or changes")
        documented = _PARAM.findall(self.doc)
        if sorted(documented) != sorted(self.parameters):
            raise self.wrong(f"the header documents @param {documented}, the query declares {self.parameters}")
        for tag in ("return", "access", "index"):
            if getattr(self, "returns" if tag == "return" else tag) is None:
                raise self.wrong(f"the header lacks @{tag}")
        if not sql.lower().startswith(_VERBS):
            raise self.wrong(f"a query begins with one of {', '.join(_VERBS)}")
        if found := _SESSION_STATE.search(sql):
            raise self.wrong(f"{found[1]} changes the connection, which other requests use next")
        if self.access not in _ACCESS:
            raise self.wrong(f"@access {self.access} is not one of {', '.join(_ACCESS)}")
        if self.access not in _WITHOUT_ACTOR and not _ACTORS & set(self.parameters):
            raise self.wrong(f"@access {self.access} needs the parameter actor_id, the caller")


class Namespace:
    """The queries of one file, as attributes."""

    def __init__(self, queries: dict[str, Query]) -> None:
        self.all = queries

    def __getattr__(self, name: str) -> Query:
        try:
            query = self.__dict__["all"][name]
        except KeyError:
            raise AttributeError(f"no query of the name {name}") from None
        setattr(self, name, query)  # found without this detour from now on
        return query  # type: ignore[no-any-return]


class Queries:
    """All queries, by namespace: `queries.sessions.get(actor_id=..., session_id=...)`."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self._namespaces: dict[str, Namespace] = {}
        files = sorted(folder.glob("*.sql"))
        if not files:
            raise QueriesError(f"{folder}: no *.sql files here; set QUERIES_DIR to the folder with the queries")
        for file in files:
            self._namespaces[file.stem] = _load(database, file)

    def __getattr__(self, name: str) -> Namespace:
        try:
            namespace = self.__dict__["_namespaces"][name]
        except KeyError:
            raise AttributeError(f"no query file of the name {name}.sql") from None
        setattr(self, name, namespace)
        return namespace  # type: ignore[no-any-return]

    def all(self) -> list[Query]:
        """Every query, by file and position."""
        return [query for namespace in self._namespaces.values() for query in namespace.all.values()]


class _Adapter:
    """What aiosql asks to turn `:name` into the driver's parameters; the rest of its protocol is not used here."""

    is_aio_driver = True

    def __init__(self) -> None:
        self.parameters: dict[str, list[str]] = {}

    def process_sql(self, query_name: str, _operation: object, sql: str) -> str:
        if query_name in self.parameters:
            raise SQLLoadException(f"two queries of the name {query_name}")
        names: list[str] = []

        def replace(match: re.Match[str]) -> str:
            name = match["var_name"]
            if name is None:  # inside quotes
                return match[0]
            if name not in names:
                names.append(name)
            return f"{match['lead']}${names.index(name) + 1}"

        self.parameters[query_name] = names
        return VAR_REF.sub(replace, sql)


def _load(database: Database, file: Path) -> Namespace:
    try:
        data, parameters = _parse(file, file.read_bytes())
    except (SQLParseException, SQLLoadException) as error:
        raise QueriesError(f"{file}: {error}") from None
    return Namespace({d.query_name: Query(database, file.stem, d, parameters[d.query_name]) for d in data})


@lru_cache
def _parse(file: Path, _content: bytes) -> tuple[list[Any], dict[str, list[str]]]:
    """The queries of a file and the parameters of each; a start reads them twice, once to check them."""
    adapter = _Adapter()
    loader = aiosql.query_loader.QueryLoader(cast(Any, adapter), None)
    return loader.load_query_data_from_file(file, []), adapter.parameters


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("--")
