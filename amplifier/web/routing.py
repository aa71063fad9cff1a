"""Decorators that make handlers: `get`, `post`, `put`, `patch` and `delete`.

The last four run the handler inside `unit_of_work.commit`. The route table lives in api/routes.py.
"""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial, wraps
from inspect import signature
from typing import Any, TypeAlias, cast

import litestar
from litestar import Litestar, Response
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, ExceptionHandlersMap

from amplifier.errors import Problem
from amplifier.web.request import Request
from amplifier.web.responses import answered, header
from amplifier.web.unit_of_work import commit

_NOTHING = (b"", b"{}", b"null")  # what some clients send in place of no body

Handler: TypeAlias = Callable[..., Coroutine[Any, Any, Any]]


class JsonRoute(HTTPRouteHandler):
    """A route whose structs become an Answer directly: Litestar's Response takes a third of a request's time here.

    An answer about a session notes that the caller was active in it. After any method but GET it also tells the hub
    that the session may have changed.
    """

    _handlers_by_error: "ExceptionHandlersMap | None" = None

    async def to_response(self, app: Litestar, data: Any, request: litestar.Request[Any, Any, Any]) -> ASGIApp:
        """Returns the answer for what the handler returned: a struct, an Answer or another ASGI application."""
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
        """Returns the same handlers for each request; Litestar would gather them from all layers each time."""
        if self._handlers_by_error is None:
            self._handlers_by_error = super().resolve_exception_handlers()
        return self._handlers_by_error


def _changes(
    method: HttpMethod,
    path: str | Sequence[str] | None = None,
    *,
    audited: bool = True,
    commits_itself: bool = False,
    one_statement: bool = False,
    ignores_body: bool = False,
    body: Any = None,
    **options: Any,
) -> Callable[[Handler], HTTPRouteHandler]:
    """Returns a decorator for a handler that changes something.

    `audited` is False for a change that the audit log leaves out. A handler that `commits_itself` calls
    `unit_of_work.commit` in its body, because it works for long before its change or after it; no transaction is open
    meanwhile. `one_statement` is that of `commit`. A handler without `data` refuses a body, unless it `ignores_body`
    because clients of the first API may send one, or receives the `body` of this type itself.
    """
    route = JsonRoute(path, http_method=method, audited=audited, body=body, **options)

    def decorate(handler: Handler) -> HTTPRouteHandler:
        whole = handler if commits_itself else _committed(handler, one_statement)
        takes_body = ignores_body or body is not None or "data" in signature(handler).parameters
        return route(whole if takes_body else _bodiless(whole))

    return decorate


def _committed(handler: Handler, one_statement: bool) -> Handler:
    """Wraps a controller's handler to run inside `commit`; Litestar reads the handler's own signature."""

    @wraps(handler)
    async def committed(controller: Any, request: Request, **arguments: Any) -> Any:
        change = partial(handler, controller, request=request, **arguments)
        return await commit(request, change, one_statement=one_statement)

    return committed


def _bodiless(handler: Handler) -> Handler:
    """Wraps a handler to raise Problem 422 for a body that says something; an empty object does not."""

    @wraps(handler)
    async def bodiless(controller: Any, request: Request, **arguments: Any) -> Any:
        announced = header(request.scope, b"content-length") or header(request.scope, b"transfer-encoding") or "0"
        if announced != "0" and (await request.body()).strip() not in _NOTHING:
            raise Problem(422, "This request takes no body: leave it out")
        return await handler(controller, request=request, **arguments)

    return bodiless


get = partial(JsonRoute, http_method=HttpMethod.GET)
post = partial(_changes, HttpMethod.POST)
put = partial(_changes, HttpMethod.PUT)
patch = partial(_changes, HttpMethod.PATCH)
delete = partial(_changes, HttpMethod.DELETE, status_code=200)
