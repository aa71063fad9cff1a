"""Unknown fields in bodies: refused by name, or ignored and named in `warnings` where clients rely on that."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import msgspec
import pytest
from litestar.routes import HTTPRoute

from amplifier.api.routes import routes
from amplifier.web.bodies import Body, LenientBody, decode
from amplifier.web.request import body_type
from amplifier.web.responses import Answer
from amplifier.web.routing import JsonRoute
from tests.conftest import CONFIG, Api, assert_problem, settings_for
from tests.support.agents import agent, echo

HANDLERS = {
    str(handler.operation_id): handler
    for route in routes(settings_for("postgresql://x")).routes
    if isinstance(route, HTTPRoute)
    for handler in route.route_handlers
    if isinstance(handler, JsonRoute) and body_type(handler) is not None
}
BODIES: dict[str, Any] = {name: body_type(one) for name, one in HANDLERS.items()}
PATCHES = [one.opt["merge_patch"] for one in HANDLERS.values() if "merge_patch" in one.opt]
LENIENT = ["create_application", "create_config", "create_session", "put_session_by_key"]
LENIENT += ["send_message", "stream_message", "update_config"]


def structs(type_: Any) -> Iterator[type[msgspec.Struct]]:
    """Yields the structs in a type and in the fields of these."""
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        yield type_
        for field in msgspec.structs.fields(type_):
            yield from structs(field.type)
    for inner in get_args(type_):
        yield from structs(inner)


def test_every_body_refuses_or_names_unknown_fields() -> None:
    assert sorted(name for name, body in BODIES.items() if issubclass(body, LenientBody)) == LENIENT
    assert PATCHES
    for name, body in [*BODIES.items(), *(("merge_patch", patch) for patch in PATCHES)]:
        assert all(issubclass(struct, Body | LenientBody) for struct in structs(body)), name
        assert all(struct.__struct_config__.forbid_unknown_fields for struct in structs(body)), name
    for name in LENIENT:
        answer = HANDLERS[name].parsed_return_field.annotation
        shown = [struct for struct in get_args(answer) or [answer] if struct is not Answer]
        assert shown, name
        assert name == "stream_message" or all("warnings" in struct.__struct_fields__ for struct in shown), name


@pytest.mark.parametrize(
    ("route", "body", "field", "detail"),
    [
        (
            "PATCH /sessions/{}",
            {"titel": "x"},
            "titel",
            "Unknown field 'titel': known are title, tags, metadata, status",
        ),
        ("PATCH /sessions/{}", {"last_seq": 9}, "last_seq", "Field 'last_seq' cannot be changed: known are title, "),
        ("PATCH /sessions/{}", {"owner_user_id": "bob"}, "owner_user_id", "Field 'owner_user_id' cannot be changed: "),
        ("POST /sessions/{}/read", {"seq": 0, "sq": 1}, "sq", "Unknown field 'sq': known are seq"),
        (
            "POST /sessions/{}/participants",
            {"user_id": "bob", "role": "viewer", "permissions": {"sned": True}},
            "permissions.sned",
            "Unknown field 'permissions.sned': known are send, cancel, invite",
        ),
        ("POST /sessions/{}/transcript", {"messages": [{"role": "user"}], "expected": 0}, "expected", "Unknown field"),
    ],
)
async def test_unknown_field_is_refused_by_name(
    alice: httpx.AsyncClient, session_id: str, route: str, body: Any, field: str, detail: str
) -> None:
    method, path = route.format(session_id).split()
    before = (await alice.get(f"/sessions/{session_id}")).json()
    problem = assert_problem(await alice.request(method, path, json=body), 422)
    assert problem["detail"].startswith(detail)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert (await alice.get(f"/sessions/{session_id}")).json() == before


def warned(answer: httpx.Response, status: int) -> list[str]:
    """Returns the warnings of an answer."""
    assert answer.status_code == status, answer.text
    return list(answer.json()["warnings"])


async def test_ignored_fields_are_named(api: Api) -> None:
    alice = await api.as_user("alice", "admin")
    known = "known are name, config_data, description, tags, session, includes, tools, providers"
    made = await alice.post("/configs", json=CONFIG | {"user_id": "bob", "desc": "x"})
    assert warned(made, 201) == [f"Unknown field '{name}' was ignored: {known}" for name in ("user_id", "desc")]
    assert made.json()["user_id"] == "alice"
    config_id = made.json()["config_id"]
    changed = await alice.put(f"/configs/{config_id}", json={"description": "x", "titel": 1})
    assert warned(changed, 200) == [f"Unknown field 'titel' was ignored: {known}"]
    assert changed.json()["description"] == "x"
    session = await alice.post("/sessions", json={"config_id": config_id, "title": "t", "session_id": "x"})
    assert [text.partition(":")[0] for text in warned(session, 201)] == ["Unknown field 'session_id' was ignored"]
    assert session.json()["title"] == "t"
    assert session.json()["session_id"] != "x"
    application = await alice.post("/applications", json={"app_id": "a", "app_name": "a", "api_key": "mine"})
    assert warned(application, 201)[0].startswith("Unknown field 'api_key' was ignored")


async def test_answers_have_no_warnings_without_reason(alice: httpx.AsyncClient, session_id: str) -> None:
    for answer in (await alice.post("/configs", json=CONFIG), await alice.get(f"/sessions/{session_id}")):
        assert "warnings" not in answer.json()


async def test_replayed_answer_has_same_warnings(alice: httpx.AsyncClient) -> None:
    key, body = {"Idempotency-Key": "k"}, CONFIG | {"x": 1}
    first, second = [await alice.post("/configs", json=body, headers=key) for _ in range(2)]
    assert second.headers["idempotency-replayed"] == "true"
    assert warned(first, 201) == warned(second, 201)


async def test_messages_to_agent_name_ignored_fields(alice: httpx.AsyncClient) -> None:
    here = await agent(alice, echo())
    body = {"message": "Hi", "mesage": "Ho"}
    expected = ["Unknown field 'mesage' was ignored: known are message, context, on_busy"]
    for headers in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}):
        assert warned(await alice.post(f"{here.path}/messages", json=body, headers=headers), 200) == expected
    streamed = (await alice.post(f"{here.path}/stream", json=body)).text
    connected = json.loads(streamed.partition("data: ")[2].partition("\n")[0])
    assert connected == {"type": "connected", "session_id": here.session_id, "warnings": expected}


async def test_warnings_are_bounded(alice: httpx.AsyncClient) -> None:
    many = {f"{'x' * 200}{number}": number for number in range(1000)}
    warnings = warned(await alice.post("/configs", json=CONFIG | many), 201)
    assert len(warnings) == 21
    assert warnings[-1] == "980 more unknown fields were ignored"
    assert max(map(len, warnings)) < 300


@pytest.mark.parametrize("name", ["x", "é`\\n", "x" * 200])
def test_first_of_very_many_unknown_fields_is_named(name: str) -> None:
    many = {name: 1} | {f"m{number}": number for number in range(20_001)}
    data, warnings = decode(BODIES["create_session"], json.dumps({"config_id": "c"} | many).encode())
    assert data.config_id == "c"
    assert warnings == [
        f"Unknown field '{name[:100]}' was ignored: known are config_id, title, tags, metadata, external_id",
        "Other unknown fields were not looked for",
    ]


async def test_errors_beside_ignored_field_are_reported(alice: httpx.AsyncClient) -> None:
    problem = assert_problem(await alice.post("/configs", json={"x": 1, "name": "", "config_data": {}}), 422)
    assert [error["field"] for error in problem["errors"]] == ["name"]


IGNORING = ["cancel_run", "delete_application", "delete_config", "delete_conversation", "delete_conversation_item"]
IGNORING += ["delete_session", "regenerate_key", "resume_session", "serve_mcp"]  # the last reads its body itself
REFUSING = [
    "POST /configs/{config}/versions/1/restore",
    "POST /sessions/{session}/repair",
    "DELETE /sessions/{session}/invitations/none",
    "DELETE /sessions/{session}/participants/bob",
    f"DELETE /sessions/{{session}}/attachments/{'0' * 64}",
    "POST /sessions/{session}/events/ticket",
    "POST /events/ticket",
    "POST /imports/none/cancel",
    "DELETE /applications/app/keys/none",
    "DELETE /settings/none",
]


@pytest.mark.parametrize("route", REFUSING)
async def test_body_is_refused_where_none_is_taken(api: Api, config_id: str, session_id: str, route: str) -> None:
    alice = await api.as_user("alice", "admin")
    method, path = route.format(config=config_id, session=session_id).split()
    for body in (b'{"seq": 1}', b"[]", b"x", b"0", b"\xff"):
        problem = assert_problem(await alice.request(method, path, content=body), 422)
        assert problem["detail"] == "This request takes no body: leave it out"
    without = await alice.request(method, path)
    for body in (b"", b"{}", b" {}\n", b"null"):
        assert (await alice.request(method, path, content=body)).status_code == without.status_code != 422, body


async def test_body_is_ignored_where_existing_clients_may_send_one(
    alice: httpx.AsyncClient, config_id: str, session_id: str
) -> None:
    for method, path in (("POST", f"/sessions/{session_id}/resume"), ("DELETE", f"/sessions/{session_id}")):
        assert (await alice.request(method, path, json={"reason": "done"})).status_code == 200
    assert (await alice.request("DELETE", f"/configs/{config_id}", json={"force": True})).status_code == 200


def test_every_route_without_a_body_refuses_or_ignores_one() -> None:
    without = [
        handler
        for route in routes(settings_for("postgresql://x")).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if isinstance(handler, JsonRoute) and body_type(handler) is None and "GET" not in handler.http_methods
    ]
    refusing = [one for one in without if "bodiless" in one.fn.__code__.co_name]
    assert sorted(one.operation_id or one.handler_name for one in without if one not in refusing) == IGNORING
    assert len(refusing) == len(REFUSING)
