"""Every error becomes a problem document (RFC 9457); this is the one table that says which.

What does not fit in a body or parameter is put into words in misfits.py.
"""

import logging
import random
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from amplifier.errors import Problem, Unavailable
from amplifier.telemetry.served import request_id
from amplifier.web import misfits

logger = logging.getLogger(__name__)

BODY = "body"  # in a scope's state: the bytes of a body that was decoded
# the titles of RFC 9110 that Python had other words for before 3.13
_TITLES = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_TOO_LARGE = "{} must not be larger than 64 kB as text: a number counts with all the digits that the database writes"
TAGS = "There may be 50 tags, with keys of 100 and values of 500 characters"
MEDIA_TYPE = "application/problem+json"
REFUSED = "refused"  # in a scope's state: the Problem of a request that has no route because of its path
_OPENAI = "/v1/"  # what paths of OpenAI's API begin with
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}  # of its errors
NO_ROUTE = "Not found: there is no such route"

# Status and detail for the violation of each constraint. The names are part of the API.
_CONSTRAINTS: dict[str, tuple[int, str]] = {
    "applications_pkey": (409, "An application with this app_id already exists"),
    "applications_app_id_check": (422, "app_id must match ^[a-z0-9-]+$"),
    "applications_app_name_check": (422, "app_name must not be empty"),
    "application_keys_app_id_name_key": (409, "The application has a key of this name already"),
    "application_keys_name_check": (422, "name must not be empty"),
    "applications_key_managers_check": (422, "key_managers must have at most 20 user ids"),
    "applications_settings_request_limit_check": (
        422,
        "settings: rate_limit_requests_per_minute must be a whole number from 0 (no limit) to 1000000",
    ),
    "applications_settings_depth_check": (422, "settings must not be nested deeper than 64 levels"),
    "applications_settings_size_check": (422, _TOO_LARGE.format("settings")),
    "attachments_size_check": (422, "An attachment has 1 to 1073741824 bytes"),
    "configs_name_check": (422, "name must not be empty"),
    "configs_config_json_depth_check": (422, "config_data must not be nested deeper than 64 levels"),
    "configs_config_json_size_check": (422, "config_data must not be larger than 1048576 bytes, its secrets encrypted"),
    "configs_description_size_check": (422, "description must have at most 10000 characters"),
    "configs_tags_size_check": (422, TAGS),
    "configuration_key_check": (422, "key must have 1 to 255 characters"),
    "configuration_value_depth_check": (422, "value must not be nested deeper than 64 levels"),
    "configuration_value_size_check": (422, _TOO_LARGE.format("value")),
    "idempotency_keys_response_size_check": (
        422,
        "The answer is larger than 16 MiB, too large to be kept: send the request without an Idempotency-Key",
    ),
    "messages_message_check": (422, "Every message must be a JSON object"),
    "messages_message_depth_check": (422, "A message must not be nested deeper than 64 levels"),
    "messages_message_role_check": (422, "The role of a message must be text of 1 to 64 characters, if it has one"),
    "messages_size_check": (422, "A message must not be larger than 16 MiB as text"),
    "runs_message_depth_check": (422, "context must not be nested deeper than 62 levels"),
    "runs_message_size_check": (422, "message and context must not be larger than 16 MiB as text"),
    "session_participants_user_id_dots_check": (422, "user_id must not be . or .., nor have them between slashes"),
    "users_user_id_dots_check": (422, "user_id must not be . or .., nor have them between slashes"),
    "sessions_config_id_fkey": (404, "Config not found: it was deleted at the same time"),
    "sessions_external_id_check": (
        422,
        "external_id must have 1 to 512 characters, at most 1536 bytes, no control characters, and not be . or ..",
    ),
    "sessions_external_id_idx": (
        409,
        "The session's next owner has a session with this external_id in its application already: delete one of them",
    ),
    "sessions_metadata_depth_check": (422, "metadata must not be nested deeper than 64 levels"),
    "sessions_metadata_size_check": (422, _TOO_LARGE.format("metadata")),
    **{
        f"{scope}_states_document_{fault}_check": (422, f"The state of the {scope} would be {said} after this patch")
        for scope in ("application", "session", "user")
        for fault, said in (("size", "larger than 64 kB as text"), ("depth", "nested deeper than 64 levels"))
    },
    "sessions_status_check": (422, "status must be active, completed, failed or cancelled"),
    "sessions_tags_size_check": (422, TAGS),
    "sessions_title_check": (422, "title must have at most 255 characters"),
}

# Constraints that no caller violates, because the code has narrower bounds, by the end of their names.
_ENDINGS: dict[str, tuple[int, str]] = {
    "_length_check": (422, "An id must have at most 255 characters: use a shorter one"),
    "_size_check": (422, "A value is larger than the database keeps: send less"),
}

# Status and detail for values that only PostgreSQL refuses, by SQLSTATE.
_STATES: dict[str, tuple[int, str]] = {
    "22000": (422, "A value is out of range or of the wrong kind"),
    "22001": (422, "A value is too long"),
    "22003": (422, "A number is out of range"),
    "22021": (422, "Text must be valid UTF-8 without NUL characters"),
    "22P02": (422, "The JSON is not valid: check its escapes, surrogates and encoding"),
    "22P05": (422, "Text must not contain NUL characters (\\u0000)"),
    "54000": (422, "A value is too large to be stored"),
    "54001": misfits.TOO_DEEP,
}
_OF_CHARACTERS = {"22021", "22P02", "22P05"}  # of these states, those about NUL characters and surrogates


def respond(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Returns the problem document for any exception. Logs unexpected ones with the request_id that the client sees."""
    problem = request.scope["state"].get(REFUSED) or _placed(request, error) or describe(error)
    log_failure(request.scope, problem, error)
    if request.scope["path"].startswith(_OPENAI):
        problem.members["error"] = _as_openai(problem)
    return Response(encoded(problem), status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def log_failure(scope: Any, problem: Problem, error: Exception) -> None:
    """Logs an exception that is not the client's fault; what nobody expected gets the request's id as a member."""
    identifier = request_id(scope)
    if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("request %s failed", identifier, exc_info=error)
        problem.members["request_id"] = identifier
    elif isinstance(error, Unavailable):
        logger.warning("request %s: %s (%r)", identifier, error.reason, error.__cause__)


def _as_openai(problem: Problem) -> dict[str, Any]:
    """Returns the member `error`, from which clients of OpenAI's API make their exceptions."""
    kind = _KINDS.get(problem.status, "invalid_request_error" if problem.status < 500 else "server_error")
    errors = problem.members.get("errors")
    parameter = errors[0]["field"] if errors else None
    return {"message": problem.detail, "type": kind, "param": parameter, "code": problem.members.get("code")}


def encoded(problem: Problem) -> bytes:
    """Returns the problem document as JSON, with a line break at its end like all answers."""
    return msgspec.json.encode(document(problem)) + b"\n"


def document(problem: Problem) -> dict[str, Any]:
    """Returns the members of the problem document (RFC 9457)."""
    return {
        "type": "about:blank",
        "title": title(problem.status),
        "status": problem.status,
        "detail": problem.detail,
        **problem.members,
    }


def title(status: int) -> str:
    """Returns the phrase of RFC 9110 for a status, the same in every version of Python."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def describe(error: Exception) -> Problem:
    """Returns the problem for an exception."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Unavailable):
        retry = {"Retry-After": str(random.randint(1, 3))}  # noqa: S311 - spreads the retries
        return Problem(503, f"{error.reason} Try again shortly.", headers=retry)
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate is not None:
        constraint = getattr(error, "constraint_name", None)
        if known := _constraint(constraint):
            return Problem(*known)
        if error.sqlstate in _STATES:
            return Problem(*_STATES[error.sqlstate])
    if isinstance(error, asyncpg.exceptions.DataError):
        return Problem(*_STATES["22000"])
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        return Problem(400, "The connection was closed before the request was complete")
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _http(error)
    return Problem(500, "Internal server error. Report it with the request_id.")


def too_large(name: str) -> Problem:
    """Returns 422 for a value over the 64 kB that the database stores."""
    return Problem(422, _TOO_LARGE.format(name))


def unauthorized(detail: str, challenge: str = "Bearer") -> Problem:
    """Returns 401 for missing or wrong credentials; `challenge` is the value of WWW-Authenticate."""
    return Problem(401, detail, headers={"WWW-Authenticate": challenge})


def changed_meanwhile(noun: str, version: int) -> Problem:
    """Returns 412 for an If-Match that does not name `version`, the present one."""
    detail = f'The {noun} has changed: its ETag is "{version}" now, which If-Match does not name'
    return Problem(412, detail, headers={"ETag": f'"{version}"'})


def _constraint(name: str | None) -> tuple[int, str] | None:
    by_ending = (known for ending, known in _ENDINGS.items() if name and name.endswith(ending))
    return _CONSTRAINTS.get(name or "") or next(by_ending, None)


def _placed(request: Request[Any, Any, Any], error: Exception) -> Problem | None:
    """Returns the problem of an error whose place is found in the request, or None for other errors."""
    if isinstance(error, ValidationException):
        return misfits.parameters(error, request)
    if getattr(error, "sqlstate", None) not in _OF_CHARACTERS or getattr(error, "constraint_name", None):
        return None
    parameters = request.path_params | dict(request.query_params)
    return misfits.odd_characters(request.scope["state"].get(BODY), parameters)


def _http(error: HTTPException) -> Problem:
    status = 422 if error.status_code == HTTPStatus.BAD_REQUEST else error.status_code
    details = {
        404: NO_ROUTE,
        405: "Method not allowed on this route",
        413: "The body is larger than 8 MB: send the messages in several requests. If one message is too large, split "
        "its text over several messages, or keep its file elsewhere and send the address",
    }
    return Problem(status, details.get(status, error.detail), headers=dict(error.headers or {}))
