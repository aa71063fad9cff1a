"""The processes that serve the database. For admin applications."""

from datetime import datetime

import msgspec
from litestar import Controller

from amplifier.web.paging import LATEST, Cursor, Limit, Pages, Position
from amplifier.web.request import Request, require_admin
from amplifier.web.routing import get

_PAGES = Pages("processes", Position, LATEST, "started_at", "process_id")


class Process(msgspec.Struct):
    """A process, and what it did when it last wrote its row. It writes each ten seconds, and `is_alive` if it
    wrote within the last 30."""

    process_id: str
    name: str
    version: str
    queries_hash: str
    started_at: datetime
    seen_at: datetime
    is_alive: bool
    is_accepting: bool
    runs: int
    streams: int
    connections: int
    connections_in_use: int
    most_connections: int


class ProcessList(msgspec.Struct):
    """A page of processes, the latest started first. `process_id` is that of the process that answers."""

    process_id: str
    items: list[Process]
    next: str | None


class ProcessesController(Controller):
    """The route /health/processes."""

    path = "/health/processes"
    tags = ["service"]

    @get(operation_id="list_processes", summary="The processes that serve", errors=(403,))
    async def list_processes(self, request: Request, limit: Limit = 50, cursor: Cursor = None) -> ProcessList:
        """All processes on this database, and those that died within the last hour. Admin applications only."""
        require_admin(request)
        start = _PAGES.start(cursor)
        found = await request.queries.processes.list(
            after_started_at=start.moment, after_process_id=start.identifier, limit=limit + 1
        )
        return ProcessList(request.app.state.hub.process_id, *_PAGES.page(found, Process, limit))
