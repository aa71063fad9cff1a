"""The queries that a process runs: which set, since when, how often each was called, and what a reload refused."""

from datetime import datetime

import msgspec
from litestar import Controller

from amplifier.queries.reload import Refusal, Reloader
from amplifier.web.request import Request, require_admin
from amplifier.web.routing import get


class QueryUse(msgspec.Struct):
    """A query of the set, and its use in this process."""

    name: str
    hash: str
    file: str
    line: int
    loaded_at: datetime
    calls: int
    seconds: float


class QuerySet(msgspec.Struct):
    """The queries that one process serves. `hash` covers all of them: the same hash means the same queries."""

    process: str
    folder: str
    hash: str
    loaded_at: datetime
    refused: Refusal | None
    queries: list[QueryUse]


class QueriesController(Controller):
    """The route below /health for those who operate the service."""

    path = "/health/queries"
    tags = ["service"]

    @get(operation_id="get_queries", summary="The queries in use", errors=(403,))
    async def get_queries(self, request: Request) -> QuerySet:
        """Of the process that answers. Admin applications only."""
        require_admin(request)
        queries = request.queries
        reloader: Reloader = request.app.state.reloader
        return QuerySet(
            reloader.process,
            str(queries.folder),
            queries.hash,
            reloader.loaded_at,
            reloader.refused,
            [
                QueryUse(
                    query.name,
                    query.hash,
                    query.file.name,
                    query.line,
                    query.usage.loaded_at,
                    query.usage.calls,
                    round(query.usage.seconds, 6),
                )
                for query in queries.all()
            ],
        )
