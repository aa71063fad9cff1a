"""The texts of the OpenAPI document on the service, tags, headers and problems.

Handlers and structs have theirs in their docstrings, members and path parameters in `openapi/fields.toml`.
"""

import re
from typing import Any

TITLE = "Amplifier"
SUMMARY = "The session backend for AI agents"
DESCRIPTION = """\
Configs, sessions, append-only transcripts, full-text search and live events for agents that talk to people.

**Who calls.** By default every call carries the application's key in `X-API-Key` and the user's token as
`Authorization: Bearer <JWT>`; a deployment may take the token alone (`AUTH_MODE=jwt_only`), or nothing on a developer's
machine. Whoever does not take part in a session is told that there is none (404).

**Errors.** Every error is a `Problem` (RFC 9457, `application/problem+json`) whose `detail` says what to do.
Besides those listed, a request that stops half-way or comes too slowly gets 408, one with headers of more than 64 kB
431, and a path or query that is not UTF-8 400. With authentication off, a foreign `Host` gets 421, and a foreign page
that wants to change something 403.

**Numbers.** Every message and event of a session has a number, `seq`, on the session's clock; `last_seq` is where it
stands. Times are RFC 3339 with an offset. Answers may get further members at any time: ignore what you do not know.

**Once only.** A request with an `Idempotency-Key` is carried out once: repeated within a day, by the same application
and user, it gets the first answer again, with `Idempotency-Replayed: true`, as long as they see what it shows (else
404). Repeat a request whose answer was lost with the same key and the same bytes.

**Versions.** Configs and sessions have an `ETag`: send it as `If-Match` to change only what you have seen (else 412),
as `If-None-Match` to get only what is new (else 304).

**Also** HEAD works wherever GET does, `Link` names the next page, and large answers come as gzip to who accepts it.
"""

# in the order of the tour, which is that of the operations, too
TAGS = {
    "service": "The service itself: whether it works, and in which versions.",
    "configs": "Reusable descriptions of an agent, with their secrets encrypted at rest.",
    "sessions": "Sessions made from configs, with a title, tags and a state.",
    "transcripts": (
        "What was said, a row a message, given back as it came. Messages are added, never changed, and can be taken "
        "back. A repair puts what models would refuse into another order, and adds what is missing."
    ),
    "search": "Ranked full-text search over everything that the caller may read.",
    "agent": (
        "Agents that answer: runs of what a session's config names, one at a time in a session, over all processes. "
        "While one goes on, followers of the session see what it does."
    ),
    "events": (
        "Live sessions. The streams are server-sent events; the same are served over WebSocket at "
        "`/sessions/{session_id}/ws` and `/ws`, an object of `type`, `seq` and `data` a message, where clients of a "
        'session may say `{"type": "typing"}` and `{"type": "read", "seq": 4}`. Clients that cannot send headers '
        "open one with a ticket."
    ),
    "participants": "The people in a session, as owners, editors and viewers, and invitations for others.",
    "attachments": "Files of a session, named by the hash of their content, to which its messages refer.",
    "imports": "Sessions of other tools, from their files, and how far their import is.",
    "openai": (
        "OpenAI's APIs for conversations and responses, for its clients: a conversation is a session, and its items "
        "are the messages."
    ),
    "state": "JSON documents of sessions, of users in an application, and of applications, changed by merge patches.",
    "users": "Users, as their tokens name them, and their sessions.",
    "applications": "The programs that call, and their keys. Admin applications manage all.",
    "settings": "Settings of the deployment, shared by its applications.",
    "audit": "Who did what, for admin applications.",
}

# paths that come first among those of their tag; the others follow in the order of the alphabet
FIRST_PATHS = (
    "/sessions/{session_id}/transcript",
    "/sessions/{session_id}/messages",
    "/sessions/{session_id}/stream",
    "/sessions/{session_id}/events",
    "/sessions/{session_id}/participants",
)

# follows the description of an operation that streams
STREAM = (
    "The answer is a stream of server-sent events. Read it with a client for those, or in a shell with `{command}` and "
    "the headers of other requests; a method of a generated client would wait for its end."
)

# path parameters that mean more than the member of the same name in `openapi/fields.toml`
PATHS = {
    "conversation_id": "The conversation's id: `conv_` and the session's id.",
    "key": "The setting's key.",
    "seq": "The message's number.",
    "user_id": "The user's id, percent-encoded where it has special characters; `me` is the caller",
}

# alternatives, in the order in which clients should choose
CREDENTIALS: list[dict[str, list[str]]] = [{"api_key": [], "bearer": []}, {"bearer": []}, {"api_key": [], "user": []}]
SECURITY = {
    "api_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The application's key, together with the user's token. A deployment may name another header.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The user's token: `sub` is the user's id, `exp` is required; without a key also `app_id`.",
    },
    "user": {
        "type": "apiKey",
        "in": "header",
        "name": "X-User-ID",
        "description": "The user for whom an application acts that may (`act_as`), with its key and without a token.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "Opens one stream within 30 seconds, for clients that cannot send headers.",
    },
}

# headers that requests may carry, by name: what they say, and the form of their value
REQUEST_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        "Makes it safe to repeat the request: a new key, best a UUID, for each thing to be done.",
        {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    ),
    "If-Match": ("Only if one of these ETags is the present one.", {"type": "string"}),
    "If-None-Match": ("Only if none of these ETags is the present one.", {"type": "string"}),
}

HEADERS = {
    "ETag": {"description": "The version that was answered with or made.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {
        "description": "`true` where the answer was given before and nothing was done now.",
        "schema": {"type": "string"},
    },
    "Link": {"description": 'The next page, as `<address>; rel="next"`.', "schema": {"type": "string"}},
    "RateLimit": {
        "description": "Where there is a rate limit: how many requests are left (r), and seconds (t) until all are.",
        "schema": {"type": "string"},
    },
    "RateLimit-Policy": {
        "description": "Where there is a rate limit: requests (q) in a number of seconds (w).",
        "schema": {"type": "string"},
    },
    "X-Request-ID": {
        "description": "The request's id: the client's own X-Request-ID when it is well-formed, else a new one.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "Retry-After": {
        "description": "Seconds to wait before the next attempt.",
        "schema": {"type": "integer", "format": "int32", "minimum": 0},
    },
    "WWW-Authenticate": {
        "description": "Which credentials are asked for: `Bearer`, or `ApiKey` with the header's name.",
        "schema": {"type": "string"},
    },
}

# by status: the name of the response, and what it means
PROBLEMS = {
    400: ("BadRequest", "The config is not valid."),
    401: ("Unauthorized", "No or wrong credentials, or a ticket that was used."),
    403: ("Forbidden", "You may see it but not do this."),
    404: ("NotFound", "It is not there, or not yours: these are never told apart."),
    409: ("Conflict", "It exists already, or its state does not allow this; the `detail` says which."),
    410: ("Gone", "The invitation is spent."),
    412: (
        "PreconditionFailed",
        "It changed meanwhile. Of a transcript the answer has the messages you missed: append with the new `last_seq`.",
    ),
    413: ("ContentTooLarge", "The body exceeds 8 MB, or the limit that the operation names."),
    415: ("UnsupportedMediaType", "The body is not declared as what the operation takes, or is compressed."),
    416: ("RangeNotSatisfiable", "The range is beyond the file, whose size `Content-Range` has."),
    422: ("UnprocessableContent", "A value does not fit; the `detail` names it."),
    429: ("TooManyRequests", "Too many requests, or too many open streams."),
    500: ("InternalServerError", "A fault of the service: report the `request_id`."),
    501: ("NotImplemented", "The service runs no agents."),
    502: ("BadGateway", "The model's provider refused or failed."),
    503: (
        "ServiceUnavailable",
        "The database is away or too slow, or a search took too long. A write may have happened.",
    ),
    504: ("GatewayTimeout", "The model, or the agent's turn, took too long."),
}
WITH_HEADER = {401: "WWW-Authenticate", 429: "Retry-After", 502: "Retry-After", 503: "Retry-After"}
NO_BODY = {304: ("NotModified", "It is as the client has it.")}


def problem(status: int) -> dict[str, Any]:
    """Returns the members of a problem that follow from its status, as `web.problems.document` makes them."""
    title = re.sub(r"(?<!^)(?=[A-Z])", " ", PROBLEMS[status][0])  # HTTPStatus has other words in other Pythons
    return {"type": "about:blank", "title": title, "status": status}
