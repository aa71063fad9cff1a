"""Serves requests to JSON routes without the layers of Litestar that these routes do not use.

Litestar declares, finds and parses: routes, path parameters, query parameters and bodies come from it. Left out are its
exception middleware, its stacks for dependencies and forms, and the second validation of parameters that are plain text
already: a fifth of the CPU time of a short request. What is not certain to be an ordinary request gets no endpoint,
and Litestar answers it.
"""

import re
from inspect import Parameter, signature
from typing import Any

from litestar import Litestar
from litestar.enums import ParamType
from litestar.exceptions import ClientException, HTTPException, LitestarException, SerializationException
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.types import Empty, Message, Receive, Send

from amplifier.web.problems import respond
from amplifier.web.request import Request
from amplifier.web.response_headers import finish
from amplifier.web.routing import JsonRoute

_HOST = re.compile(rb"[A-Za-z0-9.-]+(?::\d{1,5})?\Z")

Endpoints = dict[tuple[str, str], "Endpoint"]


class Endpoint:
    """A JSON route of one path and method, with all of its parts that are the same for every request."""

    __slots__ = ("_arguments", "_authenticate", "_handle", "_handler", "_model", "_texts")

    def __init__(self, handler: JsonRoute, model: Any, path: str) -> None:
        """`model` is Litestar's model of the handler's arguments, `path` the template of the path."""
        self._handler, self._handle, self._model = handler, handler.fn, model
        self._arguments: Any = handler.signature_model
        self._authenticate = handler.resolve_before_request()
        self._texts = _texts(handler, path)

    async def serve(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answers a request, with a problem document for any error that is raised before the answer begins."""

        async def finished(message: Message) -> None:
            finish(message, scope)
            await send(message)

        request = Request(scope, receive, finished)
        try:
            if self._authenticate is not None:
                await self._authenticate(request)
            if self._texts is None or scope["query_string"]:
                data = await self._handle(**await self._parsed(request))
            else:
                given = scope["path_params"]
                data = await self._handle(request=request, **{name: given[name] for name in self._texts})
            answer = await self._handler.to_response(scope["app"], data, request)
            await answer(scope, receive, finished)
        except Exception as error:
            if "status" in scope["state"]:
                raise LitestarException("Exception caught after response started") from error
            response = respond(request, error).to_asgi_response(
                app=None, request=request, type_encoders=self._handler.resolve_type_encoders()
            )
            await response(scope, receive, finished)

    async def _parsed(self, request: Request) -> dict[str, Any]:
        """Returns the arguments as Litestar parses them. Raises its exceptions for those that do not fit."""
        try:
            given = await self._model.to_kwargs(connection=request)
        except SerializationException as error:
            raise ClientException(str(error)) from error
        if given.get("data") is Empty:
            del given["data"]
        return self._arguments.parse_values_from_connection_kwargs(  # type: ignore[no-any-return]
            connection=request, kwargs=given
        )


def endpoints(app: Litestar) -> Endpoints:
    """Returns the endpoints of an application by template of the path and by method."""
    return {
        (route.path_format, method): Endpoint(handler, model, route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method, (handler, model) in route.route_handler_map.items()
        if isinstance(handler, JsonRoute) and _is_simple(handler, model)
    }


def find(app: Litestar, known: Endpoints, scope: Any) -> Endpoint | None:
    """Returns the endpoint of a request, which is noted in its scope, or None if Litestar must answer it."""
    path = scope["path"]
    if path[-1:] == "/" or "//" in path or scope.get("root_path"):
        return None
    if not _is_ordinary(scope["headers"], app.cors_config is not None):
        return None
    try:
        _, handler, _, parameters, template = app.asgi_router.handle_routing(path=path, method=scope["method"])
    except HTTPException:  # no such route, which Litestar says
        return None
    endpoint = known.get((template, scope["method"]))
    if endpoint is not None:
        scope["app"] = scope["litestar_app"] = app
        scope.setdefault("state", {})
        scope["route_handler"], scope["path_template"], scope["path_params"] = handler, template, parameters
    return endpoint


def _is_ordinary(headers: Any, has_cors: bool) -> bool:
    """Returns whether the Host is plainly valid, and no page of another origin asks where such pages may."""
    for name, value in headers:
        if name == b"host" and not _HOST.match(value):
            return False
        if has_cors and name == b"origin":
            return False
    return True


def _is_simple(handler: JsonRoute, model: Any) -> bool:
    """Returns whether the route uses nothing that Litestar alone does."""
    return not (
        handler.resolve_guards()
        or handler.resolve_middleware()
        or handler.resolve_after_response()
        or handler.cache
        or handler.has_sync_callable
        or model.dependency_batches
    )


def _texts(handler: JsonRoute, path: str) -> list[str] | None:
    """Returns the path parameters of a handler that takes these, the request, and only what a query may set besides.

    Returns None for other handlers, and where a parameter must be given, parsed or validated.
    """
    parameters, texts = handler.parsed_fn_signature.parameters, []
    defaults = signature(handler.fn).parameters
    if "request" not in parameters:
        return None
    for name, field in parameters.items():
        if field.raw == FromPath[str] and f"{{{name}}}" in path:
            texts.append(name)
        elif name == "request":
            continue
        elif (
            defaults[name].default is Parameter.empty
            or getattr(field.kwarg_definition, "param_type", None) != ParamType.QUERY
        ):
            return None
    return texts
