"""Imports: files of other tools' sessions that a client sends, and how far their import is."""

import asyncio
import contextlib
import uuid
from functools import partial
from typing import Annotated, Any

import msgspec
from litestar import Controller
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, QueryParameter

from amplifier.errors import Problem
from amplifier.imports import formats
from amplifier.imports.archive import safe
from amplifier.imports.jobs import Jobs
from amplifier.imports.worker import Job
from amplifier.web.import_view import Import, ImportStream, ImportSummary
from amplifier.web.paging import LATEST, Cursor, Limit, Pages, Position
from amplifier.web.request import Request
from amplifier.web.responses import Answer, answered, header
from amplifier.web.routing import get, post
from amplifier.web.spool import Space, receive
from amplifier.web.unit_of_work import commit

_PAGES = Pages("imports", Position, LATEST, "created_at", "import_id")
_NOT_FOUND = "Import not found"
_NAME = "import.jsonl"  # of a file that is sent without one
_SETS = frozenset({"keys"})

_STREAM = {
    200: ResponseSpec(
        str, description="Events until the import has ended", media_type="text/event-stream", generate_examples=False
    )
}

Format = Annotated[
    str,
    QueryParameter(
        min_length=1,
        max_length=50,
        pattern="^[a-z0-9-]+$",
        description="Take only files of this format; `auto`: each as it is",
    ),
]
ConfigId = Annotated[
    str | None,
    QueryParameter(max_length=255, description="A config of the caller's, with which agents continue the sessions"),
]
Filename = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Name of the file that is sent, with the folders by which its format is known",
    ),
]
Redact = Annotated[bool, QueryParameter(description="Replace keys before anything is stored")]


class ImportList(msgspec.Struct):
    """A page of imports, newest first; `next` is the `cursor` of the following page, null at the end."""

    items: list[ImportSummary]
    next: str | None


class _Located(msgspec.Struct):
    import_id: str


class ImportsController(Controller):
    """Routes below /imports."""

    path = "/imports"
    tags = ["imports"]

    @post(
        operation_id="import_sessions",
        summary="Import sessions of other tools",
        status_code=202,
        commits_itself=True,
        body=bytes,
        errors=(404, 413, 429),
    )
    async def import_sessions(
        self,
        request: Request,
        format: Format = formats.AUTO,
        config_id: ConfigId = None,
        redact: Redact = False,
        filename: Filename = None,
    ) -> Import:
        """Imports the body in the background: a file as the tool wrote it, or a ZIP or tar archive (also .tar.gz) of
        such files with their folders. The sessions are the caller's. What is there already is not stored again. One
        import of a user runs at a time."""
        given = _checked(format, filename)
        request.refuse_compressed()
        await _check_config(request, config_id)
        jobs: Jobs = request.app.state.imports
        space: Space = request.app.state.import_space
        most = request.app.state.settings.max_import_bytes
        async with contextlib.AsyncExitStack() as held:
            held.enter_context(jobs.place(request.caller.user_id))
            folder = await held.enter_async_context(jobs.folder(_announced(request)))
            body = await held.enter_async_context(space.file(folder / "body"))
            await receive(request, body, most, f"An import has at most {most} bytes (MAX_IMPORT_BYTES): send parts")
            if not body.size:
                raise Problem(422, "The body is empty: send a file, or an archive of a folder")
            await asyncio.to_thread(body.file.flush)
            import_id, created = str(uuid.uuid4()), []

            async def create() -> Answer:
                row = await request.queries.imports.create(
                    actor_id=request.caller.user_id,
                    actor_app_id=request.caller.app_id,
                    import_id=import_id,
                    process_id=request.app.state.hub.process_id,
                    filename=filename,
                    format=format,
                    config_id=config_id,
                    size=body.size,
                )
                if row is None:
                    detail = "Another import of yours is running: wait for its end, or cancel it"
                    raise Problem(429, detail, headers={"Retry-After": "10"})
                request.tell(import_id=import_id, size=body.size)
                created.append(row)
                return answered(202, Import(*row), request.scope)

            result = await commit(request, create, body.hash.digest())
            if created:
                job = _job(request, str(folder), given, config_id, format, redact)
                jobs.begin(import_id, job, held.pop_all())
            return _located(result)  # type: ignore[return-value]

    @get(operation_id="list_imports", summary="Your imports")
    async def list_imports(self, request: Request, limit: Limit = 50, cursor: Cursor = None) -> ImportList:
        """Lists the caller's imports of the last 30 days, newest first."""
        before = _PAGES.start(cursor)
        found = await request.queries.imports.list(
            actor_id=request.caller.user_id,
            before_created_at=before.moment,
            before_import_id=before.identifier,
            limit=limit + 1,
        )
        return ImportList(*_PAGES.page(found, ImportSummary, limit))

    @get("/{import_id:str}", operation_id="get_import", summary="One import")
    async def get_import(self, request: Request, import_id: FromPath[str]) -> Import:
        """The import and how far it is, or its result. 404 for imports of others."""
        return _shown(await _read(request, import_id))

    @get(
        "/{import_id:str}/events",
        operation_id="follow_import",
        summary="Follow an import",
        responses=_STREAM,
        errors=(429,),
    )
    async def follow_import(self, request: Request, import_id: FromPath[str]) -> Any:
        """The import as server-sent events: `import.progress` at once and whenever it has changed, at most twice a
        second, and at last `import.finished`. A client that was disconnected sends the request again."""
        return ImportStream(request.caller, partial(_read, request, import_id))

    @post("/{import_id:str}/cancel", operation_id="cancel_import", summary="Cancel an import", status_code=200)
    async def cancel_import(self, request: Request, import_id: FromPath[str]) -> Import:
        """Stops the import within seconds. Sessions that are stored stay. An import that has ended stays as it is."""
        request.tell(import_id=import_id)
        row = await request.queries.imports.cancel(actor_id=request.caller.user_id, import_id=import_id)
        if row is not None and row["status"] != "running":
            request.tell(changed={})
        request.afterwards(partial(request.app.state.imports.look, import_id))
        return _shown(row)


def _checked(format: str, filename: str | None) -> str:
    """Returns the name of the file. Raises Problem 422 for a format or name that is none."""
    if format not in (formats.AUTO, *formats.READERS):
        raise Problem(422, f"format: choose from {', '.join((formats.AUTO, *formats.READERS))}")
    if filename is not None and safe(filename) is None:
        raise Problem(422, "filename: give the name of the file, without .. and not from /")
    return filename or _NAME


async def _check_config(request: Request, config_id: str | None) -> None:
    """Raises Problem 404 unless the caller has the config."""
    if config_id is None:
        return
    if await request.queries.configs.get(actor_id=request.caller.user_id, config_id=config_id) is None:
        raise Problem(404, "Config not found")


def _located(answer: Answer) -> Answer:
    """Adds the Location of the import to its answer, also to one that is replayed."""
    import_id = msgspec.json.decode(answer.body, type=_Located).import_id
    answer.headers = [*answer.headers, (b"location", b"/imports/%s" % import_id.encode())]
    return answer


def _announced(request: Request) -> int:
    length = header(request.scope, b"content-length") or "0"
    return int(length) if length.isdecimal() else 0


def _job(request: Request, folder: str, name: str, config_id: str | None, format: str, redact: bool) -> Job:
    settings = request.app.state.settings
    sets = settings.redacted_sets | (_SETS if redact else frozenset())
    dsn = settings.direct_dsn
    user_id, most = request.caller.user_id, settings.max_import_bytes
    return Job(folder, name, dsn, None, user_id, config_id, format, sorted(sets), most)


async def _read(request: Request, import_id: str) -> Any:
    return await request.queries.imports.get(actor_id=request.caller.user_id, import_id=import_id)


def _shown(row: Any) -> Import:
    if row is None:
        raise Problem(404, _NOT_FOUND)
    return Import(*row)
