"""Decorators that make handlers: `get`, `post`, `put`, `patch` and `delete`."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any, cast

import litestar
from litestar import Litestar, Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap

from amplifier.web.request import Request
from amplifier.web.responses import answered
from amplifier.web.unit_of_work import carry_out


class JsonRoute(HTTPRouteHandler):
    """A route whose structs become an Answer at once: Litestar's Response takes a third of a request's time here.

    Whoever had such an answer about a session was active in it, and what was more than a question may have changed it.
    """

    _exception_handlers: "ExceptionHandlersMap | None" = None

    def __init__(
        self,
        path: str | Sequence[str] | None = None,
        *,
        audited: bool = True,
        prepares: bool = False,
        goes_on: Callable[[Request, Any], Awaitable[Any]] | None = None,
        **options: Any,
    ) -> None:
        """`audited` is false for what changes nothing that the audit log is about. `prepares` says that the handler
        works for long before its change and calls `Request.carry_out` itself, so that no transaction is open meanwhile.
        `goes_on` makes the answer, when the change is committed, of what the handler returned, or of what it returned
        to the same Idempotency-Key before."""
        super().__init__(path, **options)
        self._audited, self._prepares, self._goes_on = audited, prepares, goes_on

    def on_registration(self, app: Litestar) -> None:
        super().on_registration(app)
        if HttpMethod.GET not in self.http_methods:
            self._fn = self._carried_out(self._fn)

    def _carried_out(self, handler: Any) -> Any:
        @wraps(handler)
        async def change(request: Request, **arguments: Any) -> Any:
            act = partial(handler, request=request, **arguments)
            result = await (act() if self._prepares else self.carry_out(request, act))
            return result if self._goes_on is None else await self._goes_on(request, result)

        return change

    async def carry_out(self, request: Request, change: Callable[[], Awaitable[Any]]) -> Any:
        """Returns the result of `change` when it is committed with all that belongs to it."""
        return await carry_out(
            request,
            str(self.operation_id),
            self._audited,
            change,
            lambda data: answered(self.status_code, data, request.scope),
        )

    async def to_response(self, app: Litestar, data: Any, request: litestar.Request[Any, Any, Any]) -> ASGIApp:
        for act in request.scope["state"].get("afterwards", ()):
            act()
        if session_id := request.path_params.get("session_id"):
            app.state.activity.note_participant(session_id, request.scope["user"].user_id)
            if request.scope["method"] != "GET":
                app.state.hub.announce(session_id)
        if callable(data):  # an ASGI application already
            return cast(ASGIApp, data)
        if isinstance(data, Response):
            return await super().to_response(app, data, request)
        return answered(self.status_code, data, request.scope)

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """The same at every request; Litestar would gather them each time."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers


get = partial(JsonRoute, http_method=HttpMethod.GET)
post = partial(JsonRoute, http_method=HttpMethod.POST)
put = partial(JsonRoute, http_method=HttpMethod.PUT)
patch = partial(JsonRoute, http_method=HttpMethod.PATCH)
delete = partial(JsonRoute, http_method=HttpMethod.DELETE, status_code=200)
