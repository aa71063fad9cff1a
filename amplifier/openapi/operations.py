"""Describes one operation of the OpenAPI document from its handler: body, responses and problems. Texts: `texts.py`."""

import json
from http import HTTPStatus
from typing import Any, get_args

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from amplifier.openapi import descriptions, texts
from amplifier.openapi.event_types import STREAMS
from amplifier.openapi.problems import Problems
from amplifier.openapi.schemas import PREFIX, reference, structs, tidied
from amplifier.web.authentication import authenticate
from amplifier.web.bodies import MergePatch
from amplifier.web.event_stream import authenticate_stream
from amplifier.web.query_parameters import MAY_BE_EMPTY, check
from amplifier.web.request import MERGE_PATCH, body_type

JSON = "application/json"
NEWEST = 2**63 - 1
_PLAIN = {"type": "array", "items": {"$ref": f"{PREFIX}Message"}}  # the transcript with view=plain
HIDEABLE = (
    "session_id",
    "config_id",
    "app_id",
)  # in an answer that is not repeated to those who may not see it any more
_BINARY = {"type": "string", "format": "binary"}
_TEXT = {"type": "string"}
_FILE = {"application/octet-stream": {"schema": _BINARY}}
# Files in JSON are values to those who read a response by this document, and files in texts are strings.
_MESSAGES = {"type": "array", "items": {"type": "object"}}
_SCHEMAS = {
    JSON: {"type": "object", "properties": {"messages": _MESSAGES}, "required": ["messages"]},
    "application/zip": _BINARY,
}
_LIMITED = ("RateLimit", "RateLimit-Policy")


class Operation:
    """A handler's operation: `body` is the type of its body, or None, `patch` that of a merge patch, `answers` the
    types of responses by status."""

    def __init__(self, handler: HTTPRouteHandler, shown: dict[str, Any], problems: Problems) -> None:
        self.name = str(handler.operation_id)
        self._handler, self._shown, self._answered = handler, shown, problems
        self.body: Any = body_type(handler)
        field = handler.parsed_data_field
        self._needs_body = field is None or field.is_required
        self.patch: Any = handler.opt.get("merge_patch")
        self.answers: dict[int, Any] = {}
        if self.name not in STREAMS:
            self.answers[handler.status_code] = _described_type(handler.parsed_return_field.annotation)
        for status, spec in (handler.responses or {}).items():
            if self.name not in STREAMS:
                self.answers[status] = spec.data_container

    def described(self, path: str, generated: dict[str, Any]) -> dict[str, Any]:
        """Returns the operation in OpenAPI's form. Raises ValueError if the handler's description is incomplete."""
        for wanted in ("summary", "description", "tags"):
            if not generated.get(wanted):
                raise ValueError(f"{self.name}: the handler has no {wanted}")
        if unknown := set(generated["tags"]) - texts.TAGS.keys():
            raise ValueError(f"{self.name}: amplifier/openapi/texts.py does not know the tags {sorted(unknown)}")
        operation: dict[str, Any] = {
            "tags": generated["tags"],
            "summary": generated["summary"],
            "description": " ".join(generated["description"].split()) + self._stream_note(path),
            "operationId": self.name,
        }
        if parameters := self._parameters(generated):
            operation["parameters"] = parameters
        if self.body is not None:
            operation["requestBody"] = {"required": self._needs_body, "content": self._contents}
        if self._handler.opt.get("content") is bytes:
            self.answers = dict.fromkeys((200, 206), bytes)
        if self._files:
            self.answers = {200: bytes}
        answers = {str(status): self._answer(status, generated) for status in sorted(self.answers or {200: None})}
        operation["responses"] = answers | self._problems(parameters)
        return operation | self._security()

    @property
    def _contents(self) -> dict[str, Any]:
        """The bodies that the handler takes, by media type."""
        if self.body is bytes:
            return _FILE
        shown = {"schema": reference(self.body), **_example(self._shown, "request")}
        if isinstance(self.body, type) and issubclass(self.body, MergePatch):
            return {MERGE_PATCH: shown}
        found: dict[str, Any] = {JSON: shown} | self._handler.opt.get("other_bodies", {})
        if self.patch is not None:
            found[MERGE_PATCH] = {"schema": reference(self.patch), **_example(self._shown, "merge_patch")}
        return found

    def _stream_note(self, path: str) -> str:
        if self.name not in STREAMS:
            return ""
        body = "" if self.body is None else f" -H 'Content-Type: {JSON}' -d '{json.dumps(self._shown['request'])}'"
        return "\n\n" + texts.STREAM.format(command=f"curl -N 'http://127.0.0.1:8765{path}'{body}")

    @property
    def _files(self) -> tuple[str, ...]:
        """The media types of the files that the handler makes; `content` is `bytes` where clients chose the type."""
        content = self._handler.opt.get("content")
        return content if isinstance(content, tuple) else ()

    @property
    def _before(self) -> Any:
        return self._handler.resolve_before_request()

    def _parameters(self, generated: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns Litestar's parameters without redundant members, and with the bounds and texts that it omits."""
        parameters = []
        for given in generated.get("parameters", []):
            described = tidied(given["schema"], nullable=False)
            text = described.pop("description", None)
            if given["in"] == "path":
                text = text or texts.PATHS.get(given["name"]) or descriptions.texts().get(given["name"])
            if given["name"] == "ticket":  # a credential
                continue
            if given["in"] == "path" and described.get("type") == "string":
                longest = 512 if given["name"] == "external_id" else 255
                described = {"minLength": 1, "maxLength": longest} | described
            if given["in"] == "query" and given["name"] != MAY_BE_EMPTY:
                described = _with_text(described)
            if given["name"] in self._from_zero:
                described["minimum"] = 0
            if described.get("default") in (NEWEST, ""):  # means the start of a list
                del described["default"]
            if text is None:
                raise ValueError(f"{self.name}: the parameter {given['name']} has no description")
            flags = {"required": True} if given.get("required") else {}
            flags |= {"deprecated": True} if described.pop("deprecated", False) else {}
            parameters.append(
                {"name": given["name"], "in": given["in"], "description": text, **flags, "schema": described}
            )
        return parameters + [_header(name) for name in self._conditions]

    @property
    def _conditions(self) -> list[str]:
        """The headers of `texts.REQUEST_HEADERS` that the handler uses."""
        if HttpMethod.GET in self._handler.http_methods:
            return ["If-None-Match"] if self._has("etag") else []
        wanted = 412 in self._handler.opt.get("errors", ()) and "expected_seq" not in _fields(self.body)
        return ["Idempotency-Key", *(["If-Match"] if wanted else [])]

    def _has(self, name: str) -> bool:
        """Returns whether a response has a member of this name, which becomes a header. Files have an ETag."""
        if name == "etag" and self._handler.opt.get("content"):
            return True
        return any(hasattr(one, name) for type_ in self.answers.values() for one in structs(type_))

    @property
    def _from_zero(self) -> set[str]:
        """The parameters with the minimum 0, which Litestar omits for optional parameters."""
        fields = self._fields.items()
        return {name for name, field in fields if getattr(field.kwarg_definition, "ge", None) == 0}

    @property
    def _fields(self) -> dict[str, Any]:
        """The parameters of the handler's function by name."""
        return self._handler.parsed_fn_signature.parameters

    def _answer(self, status: int, generated: dict[str, Any]) -> dict[str, Any]:
        spec = (self._handler.responses or {}).get(status)
        answer = {
            "description": spec.description if spec else HTTPStatus(status).phrase,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in self._headers},
        }
        if self._handler.opt.get("content") is bytes:
            return answer | {"content": _FILE}
        if self._files:
            shown = self._shown.get("responses", {}).get(str(status), {})
            contents = {kind: {"schema": _SCHEMAS.get(kind, _TEXT), **_example(shown, kind)} for kind in self._files}
            return answer | {"content": contents}
        if self.name in STREAMS:
            shown = _example(self._shown.get("responses", {}), str(status))
            return answer | {"content": {"text/event-stream": _stream(self.name) | shown}}
        if self.answers[status] is type(None):
            return answer
        schema = reference(self.answers[status])
        if self.name == "get_transcript":
            schema = {"oneOf": [schema, _PLAIN]}
        content = {"schema": schema, **_example(self._shown.get("responses", {}), str(status))}
        return answer | {"content": {JSON: content}}

    @property
    def _headers(self) -> list[str]:
        """The headers of a response."""
        reads = HttpMethod.GET in self._handler.http_methods
        found = ["X-Request-ID", *(_LIMITED if self._before is not check else ())]
        found += ["ETag"] if self._has("etag") else []
        found += ["Link"] if reads and (self._has("next") or "cursor" in self._fields) else []
        return found + ([] if reads else ["Idempotency-Replayed"])

    def _problems(self, parameters: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns the handler's own problems, and those that follow from its parameters, body and authentication."""
        statuses = {422, *self._handler.opt.get("errors", ())}
        if self._before is not check:
            statuses |= {401, 429, 500, 503}
        if self.body is not None:
            statuses |= {413, 415}
        if "If-None-Match" in self._conditions:
            statuses.add(304)
        if "Idempotency-Key" in self._conditions:
            statuses |= {409, *((404,) if any(map(self._has, HIDEABLE)) else ())}
        if any(parameter["in"] == "path" for parameter in parameters):
            statuses.add(404)
        if unknown := statuses - texts.PROBLEMS.keys() - texts.NO_BODY.keys():
            raise ValueError(f"{self.name}: amplifier/openapi/texts.py does not know the statuses {sorted(unknown)}")
        return {str(status): self._answered.response(self.name, status) for status in sorted(statuses)}

    def _security(self) -> dict[str, Any]:
        if self._before is check:
            return {"security": []}
        if self._before is authenticate_stream:
            return {"security": [*texts.CREDENTIALS, {"ticket": []}]}
        if self._before is not authenticate:
            raise ValueError(f"{self.name}: nobody knows whom {self._before} lets in")
        return {}


def _header(name: str) -> dict[str, Any]:
    """Returns the parameter for a header of `texts.REQUEST_HEADERS`."""
    text, described = texts.REQUEST_HEADERS[name]
    return {"name": name, "in": "header", "description": text, "schema": described}


def _with_text(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a parameter that must not be empty."""
    if schema.get("type") == "array":
        return schema | {"items": _with_text(schema["items"])}
    is_text = schema.get("type") == "string" and not schema.keys() & {"enum", "format"}
    return {"minLength": 1} | schema if is_text else schema


def _fields(type_: Any) -> tuple[str, ...]:
    return getattr(type_, "__struct_fields__", ())


def _described_type(annotation: Any) -> Any:
    """Returns the type of a response, without the prepared responses that a handler may also return."""
    if isinstance(annotation, type) or not get_args(annotation) or annotation.__class__.__name__ == "GenericAlias":
        return annotation
    found = [one for one in get_args(annotation) if any(structs(one))]
    return found[0] if len(found) == 1 else annotation


def _example(shown: dict[str, Any], name: str) -> dict[str, Any]:
    return {"example": shown[name]} if name in shown else {}


def _stream(name: str) -> dict[str, Any]:
    """Describes a stream. OpenAPI 3.1 cannot describe its events, so `x-events` has the schemas of their data."""
    lines = [f"- `{event}`: `{type_.__name__}`" for event, type_ in STREAMS[name].items()]
    key = "`type` in it" if name == "stream_message" else "`event`"
    text = f"Server-sent events; the `data` of each is one JSON object, by its {key}:\n\n" + "\n".join(lines)
    events = {event: {"$ref": PREFIX + type_.__name__} for event, type_ in STREAMS[name].items()}
    return {"schema": {"type": "string", "description": text}, "x-events": events}
