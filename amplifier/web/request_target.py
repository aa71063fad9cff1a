"""Decodes the path and the query of a request, so that clients, proxies and the service agree on their meaning.

Segments are decoded one by one: an encoded slash is part of a segment and separates none.
"""

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from amplifier.errors import Problem
from amplifier.web.problems import NO_ROUTE, REFUSED

_NOWHERE = "/%"  # the path of no route
_DOTS = re.compile(r"(?:^|/|%2F)\.\.?(?:/|%2F|\Z)")
# keys of sessions are the callers' own: only a whole segment of dots would be resolved by clients
_KEY = re.compile(r"/sessions/by-key/(?!\.\.?(?:/|\Z))[^/]+/?\Z")


def read(scope: Any) -> Any:
    """Returns the scope with the path to route: decoded, except that % and / within a segment are %25 and %2F.

    A request to refuse gets a path without a route and the Problem in its state, so that its answer is made like any
    other error's: 404 for an empty segment and for `.` and `..`, which clients and proxies resolve, except inside a
    session's key, and 400 for a path or a query that is not UTF-8.
    """
    path, raw, query = scope["path"], scope["raw_path"], scope["query_string"]
    problem = None
    try:
        if b"%" in raw:
            path = "/".join([_decoded(segment) for segment in raw.split(b"/")])
            scope = {**scope, "path": path}
        if "//" in path or (("/." in path or "%2F" in path) and _DOTS.search(path) and not _KEY.match(path)):
            problem = Problem(404, NO_ROUTE)
        if query and (b"%" in query or not query.isascii()):
            unquote_to_bytes(query).decode()
    except UnicodeDecodeError:
        problem = Problem(400, "The path and the query must be UTF-8, percent-encoded")
    if problem is None:
        return scope
    state = {**scope.get("state", {}), REFUSED: problem}
    return {**scope, "state": state, "path": _NOWHERE if scope["type"] == "http" else scope["path"]}


def without_root(scope: Any, root: str) -> Any:
    """Returns the scope with a path without `root`, the prefix under which a proxy publishes the service.

    Proxies send the prefix along or remove it. Both reach the same route.
    """
    path, raw = scope["path"], scope["raw_path"]
    if path != root and not path.startswith(f"{root}/"):
        return scope
    return {**scope, "path": path[len(root) :] or "/", "raw_path": raw[len(root) :] or b"/"}


def restore(scope: Any) -> None:
    """Decodes %25 and %2F in the parameters of a routed path. Raises the Problem of a request to refuse."""
    if REFUSED in scope["state"]:
        raise scope["state"][REFUSED]
    if "%" in scope["path"]:
        # another dictionary, because the router keeps this one for the next request to the same path
        parameters = scope["path_params"].items()
        scope["path_params"] = {
            name: value.replace("%2F", "/").replace("%25", "%") if isinstance(value, str) else value
            for name, value in parameters
        }


def is_plain(identifier: str) -> bool:
    """Returns whether an identifier has no segment `.` or `..`, which a client would resolve before it sends a path."""
    return not any(part in (".", "..") for part in identifier.split("/"))


def _decoded(segment: bytes) -> str:
    return unquote_to_bytes(segment).decode().replace("%", "%25").replace("/", "%2F")
