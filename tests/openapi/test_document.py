"""The OpenAPI document is valid, matches the code, lists every error, and its examples fit their schemas."""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from amplifier.api.routes import routes
from amplifier.cli.openapi import add
from amplifier.openapi import document, texts
from amplifier.settings import Settings
from tests.conftest import Api
from tests.support import contract

DOCUMENT = json.loads(document.file().read_text())
OPERATIONS = {
    operation["operationId"]: (method, path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
}
SCHEMAS = DOCUMENT["components"]["schemas"]
STREAMS = {"follow_session", "follow_sessions"}


def test_committed_document_matches_code() -> None:
    assert document.file().read_text() == document.text(), "run: amplifier-api openapi"


@pytest.mark.slow
def test_command_writes_and_checks_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"
    monkeypatch.setattr(document, "file", lambda: file)
    parser = argparse.ArgumentParser()
    add(parser.add_subparsers())

    def run(*arguments: str) -> str:
        given = parser.parse_args(["openapi", *arguments])
        given.run(Settings(), given)
        return capsys.readouterr().out

    with pytest.raises(SystemExit):
        run("--check")
    capsys.readouterr()
    assert run() == f"{file}\n"
    assert run("--check") == "the OpenAPI document is up to date\n"
    file.write_text(file.read_text().replace("viewer", "reader"))
    with pytest.raises(SystemExit):
        run("--check")
    assert "is not what the code says (run: amplifier-api openapi)" in capsys.readouterr().out


async def test_service_serves_committed_document(api: Api) -> None:
    served = await api.client().get("/openapi.json")
    assert served.headers["content-type"] == "application/json"
    assert served.content == document.file().read_bytes()


async def test_undocumented_responses_are_detected(anyio_backend: object) -> None:
    def answer(status: int, body: dict[str, Any], path: str = "/health") -> httpx.Response:
        request = httpx.Request("GET", f"http://test{path}")
        headers = {"content-type": "application/json"}
        return httpx.Response(status, headers=headers, content=json.dumps(body), request=request)

    contract.forget()
    health = {"status": "healthy", "version": "1", "uptime": 1.5, "database_connected": True}
    await contract.check(answer(200, health))
    for unknown, complaint in (
        (answer(404, {}), "get_health answers 404: say so in"),
        (answer(200, health | {"uptime": None}), "uptime: None is not of type"),
        (answer(500, {}, "/configs"), "list_configs answers with application/json"),
    ):
        with pytest.raises(AssertionError, match=complaint):
            await contract.check(unknown)


@pytest.mark.slow
def test_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_route_is_described() -> None:
    found = {
        (method, route.path_format)
        for route in routes(Settings()).routes
        for handler in getattr(route, "route_handlers", [])
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
        if method not in ("OPTIONS", "HEAD")
    }
    assert found == {(method.upper(), path) for method, path, _ in OPERATIONS.values()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_described_in_full(name: str) -> None:
    _, path, operation = OPERATIONS[name]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert operation["summary"]
    assert operation["description"].endswith("."), "the handler's docstring"
    assert set(operation["tags"]) <= set(texts.TAGS), "amplifier/openapi/texts.py describes tags"
    expected = set()
    if operation.get("security") != []:
        expected |= {"401", "429", "500", "503"}
    if "{" in path:
        expected |= {"404", "422"}
    if "requestBody" in operation:
        expected |= {"413", "415", "422"}
    assert expected <= operation["responses"].keys()
    for status, response in operation["responses"].items():
        if status.startswith("2"):
            assert "X-Request-ID" in response["headers"]
        else:
            assert_shows_problems(response, int(status))
    for parameter in operation.get("parameters", []):
        assert parameter["description"], parameter["name"]
        assert bounded(parameter["schema"]) or parameter["in"] == "header", f"{parameter['name']} has no bounds"


def assert_shows_problems(response: dict[str, Any], status: int) -> None:
    """Checks the description of an error, and that its examples have its status."""
    described = resolved(response)
    assert described["description"] == (texts.PROBLEMS | texts.NO_BODY)[status][1]
    for content in described.get("content", {}).values():
        examples = [resolved(example) for example in content.get("examples", {}).values()]
        assert {example["value"]["status"] for example in examples} <= {status}
        assert len(examples) <= 3


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Returns the component that a reference names, or the part itself if it is none."""
    if "$ref" not in part:
        return part
    *_, kind, name = part["$ref"].split("/")
    return DOCUMENT["components"][kind][name]  # type: ignore[no-any-return]


def bounded(schema: dict[str, Any]) -> bool:
    """Returns whether a parameter's schema limits its values."""
    kinds = {
        "string": {"maxLength", "enum", "format"},
        "integer": {"maximum"},
        "array": {"maxItems"},
        "boolean": {"type"},
    }
    return "$ref" in schema or bool(kinds[schema["type"]] & schema.keys())


def test_problems_are_problem_documents() -> None:
    assert {"type", "title", "status", "detail"} == set(SCHEMAS["Problem"]["required"])
    assert {"errors", "request_id", "last_seq", "missed", "next"} <= SCHEMAS["Problem"]["properties"].keys()
    for name, response in DOCUMENT["components"]["responses"].items():
        if name == "NotModified":
            continue
        [(media_type, content)] = response["content"].items()
        assert (media_type, content["schema"]["$ref"]) == ("application/problem+json", "#/components/schemas/Problem")
    for name, example in DOCUMENT["components"]["examples"].items():
        assert_fits(example["value"], {"$ref": "#/components/schemas/Problem"}, name)
    headers = {name: set(response["headers"]) for name, response in DOCUMENT["components"]["responses"].items()}
    assert "Retry-After" in headers["ServiceUnavailable"] & headers["TooManyRequests"]
    assert "WWW-Authenticate" in headers["Unauthorized"]


@pytest.mark.parametrize("name", sorted(OPERATIONS.keys() - STREAMS))
def test_operation_has_valid_examples(name: str) -> None:
    *_, operation = OPERATIONS[name]
    contents = {
        f"{name}.responses.{status}": response["content"]["application/json"]
        for status, response in operation["responses"].items()
        if status.startswith("2") and "application/json" in response.get("content", {})
    }
    if "requestBody" in operation:
        for media_type, content in operation["requestBody"]["content"].items():
            if media_type.endswith(("/json", "+json")):
                contents[f"{name}.request {media_type}"] = content
    missing = [place for place, content in contents.items() if "example" not in content]
    assert not missing, f"openapi/examples.json has nothing at {', '.join(missing)}: add it, run amplifier-api openapi"
    for place, content in contents.items():
        assert_fits(content["example"], content["schema"], place)


def test_every_example_is_of_an_operation() -> None:
    assert document.examples().keys() - OPERATIONS.keys() == set()


def assert_fits(value: Any, schema: dict[str, Any], place: str) -> None:
    validator = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    assert [f"{place}: {error.json_path}: {error.message}" for error in validator.iter_errors(value)] == []


def test_schema_names_are_words_in_camel_case() -> None:
    assert [name for name in SCHEMAS if not re.fullmatch(r"[A-Z][A-Za-z]+", name)] == []


def test_optional_is_not_nullable_and_null_is_a_type() -> None:
    """In requests null is for the fields that it clears, and for messages without a key."""
    nullable = []
    sent = {schema["$ref"] for schema in bodies()}
    requests = {name for name in SCHEMAS if f"#/components/schemas/{name}" in sent}
    for name, schema in SCHEMAS.items():
        text = json.dumps(schema)
        assert '"oneOf"' not in text, name
        if name in requests:
            fields = schema["properties"].items()
            nullable += [f"{name}.{field}" for field, one in fields if '"null"' in json.dumps(one)]
        for union in unions(schema):
            assert {"$ref"} in [set(one) for one in union] or name == "CreateResponse"
    patches = ["MergeConfig.description", "MergeConfig.tags"]
    assert nullable == ["AppendTranscript.keys", *patches, "UpdateConfig.description", "UpdateSession.title"]
    assert '"null"' not in json.dumps([operation.get("parameters") for *_, operation in OPERATIONS.values()])


def bodies() -> Iterator[dict[str, Any]]:
    for *_, operation in OPERATIONS.values():
        schemas = [one["schema"] for one in operation.get("requestBody", {}).get("content", {}).values()]
        yield from [schema for schema in schemas[:1] if "$ref" in schema]


def unions(schema: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(schema, dict):
        if "anyOf" in schema:
            yield schema["anyOf"]
        for inner in schema.values():
            yield from unions(inner)


def test_only_settings_have_untyped_values() -> None:
    untyped = {
        f"{name}.{field}"
        for name, schema in SCHEMAS.items()
        for field, described in schema.get("properties", {}).items()
        if not described.keys() & {"type", "$ref", "anyOf"}
    }
    assert untyped == {"PutSetting.value", "Setting.value"}


def test_security_of_public_routes_and_streams_is_described() -> None:
    security = {name: operation.get("security") for name, (*_, operation) in OPERATIONS.items()}
    assert {name for name, asked in security.items() if asked == []} == {
        "get_service",
        "get_sign_in",
        "get_health",
        "get_liveness",
        "get_readiness",
        "get_version",
    }
    assert {name for name, asked in security.items() if asked and {"ticket": []} in asked} == STREAMS
    for name in STREAMS:
        content = OPERATIONS[name][2]["responses"]["200"]["content"]["text/event-stream"]
        assert content["x-events"]
        assert all(event in content["schema"]["description"] for event in content["x-events"])
