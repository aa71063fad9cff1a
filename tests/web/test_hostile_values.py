"""Hostile values in bodies: every write route refuses them with a 4xx problem document, and stores nothing."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from amplifier.openapi import document
from amplifier.web.request import MAX_BODY
from tests.conftest import Api
from tests.support.hostile import (
    JSON,
    LENIENT,
    OPTIONAL,
    ROUTES,
    TEXT,
    UNUSUAL,
    VALUE,
    WITH_MESSAGES,
    Target,
    each,
    each_route,
)
from tests.support.hostile import target as target


def test_routes_are_complete() -> None:
    described = msgspec.json.decode(document.file().read_bytes())["paths"]
    required = {
        f"{method.upper()} {path}": item[method]["requestBody"]["required"]
        for path, item in described.items()
        for method in item
        if "requestBody" in item[method] and "application/octet-stream" not in item[method]["requestBody"]["content"]
    }
    stand_ins = {
        "/mine": "/{external_id}",
        "/a-key": "/{key}",
        "/dave": "/{user_id}",
        "/other": "/{app_id}",
        "/none": "/{approval_id}",
    }
    here = {}
    for route in ROUTES:
        path = route.removesuffix("/")
        for literal, parameter in stand_ins.items():
            path = path.replace(literal, parameter)
        here[path] = route not in OPTIONAL
    assert here == required


# as written in the body; \udcXX is the byte XX: invalid and overlong UTF-8, an encoded surrogate
CHARACTERS = ["\x00", "\x1f", "\\x", "\\u12"]
CHARACTERS += ["\udcff", "\udcc0\udc80", "\udced\udca0\udc80", "\udcf5\udc80\udc80\udc80"]
ODD = ["\\u0000", "\\ud800", "\\udfff", "\\ud800\\ud800", "\\ud800x"]  # only in messages these are text


@each_route
async def test_invalid_text_is_refused_in_every_string(target: Target, route: str) -> None:
    parts = target.fill(ROUTES[route]).replace(VALUE, "1").split(TEXT)
    refused = CHARACTERS if route in WITH_MESSAGES else CHARACTERS + ODD
    for place, characters in itertools.product(range(1, len(parts)), refused):
        target.refused(await target.send(route, "".join(parts[:place]) + characters + "".join(parts[place:])))
    assert target.rows() == target.stored


DEEP = [left * depth + "1" + right * depth for depth in (65, 1000, 100_000) for left, right in ("[]", ('{"a":', "}"))]
NUMBERS = [
    "1e400",
    "-1e400",
    "1E+0400",
    "1e131071",
    "1e-400",
    "1e-16383",
    "0e-16383",
    "9" * 140_000,
    "9" * 5000,
    "-" + "9" * 400,
    "9" * 309,
    "01",
    "+1",
    "1.",
]
BROKEN = ["NaN", "Infinity", "-Infinity", "0x1", ".5", "tru", "'a'", "[1,]", "{1:2}", "[1", '{"a"}', "[" * 100_000]


@each(route for route, body in ROUTES.items() if VALUE in body)
async def test_deep_values_and_endless_numbers_are_refused(target: Target, route: str) -> None:
    parts = target.fill(ROUTES[route]).replace(TEXT, "").split(VALUE)
    for place, value in itertools.product(range(1, len(parts)), DEEP + NUMBERS + BROKEN):
        target.refused(await target.send(route, "1".join(parts[:place]) + value + "1".join(parts[place:])))
    assert target.rows() == target.stored


@each_route
async def test_body_must_be_one_json_object_of_8_mb(target: Target, route: str) -> None:
    text = target.good(route)
    good = text.encode()
    bodies = [] if route in OPTIONAL else [b""]
    bodies += [b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"\0" * 9, text.encode("utf-16"), text.encode("utf-32")]
    for body in [*bodies, good[:-1], good + b"x", good + good, b"[" + good + b"]", b"\xef\xbb\xbf" + good]:
        target.refused(await target.send(route, body))
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        target.refused(await target.send(route, good, {"Content-Type": kind}), 415)
    target.refused(await target.send(route, good, {}), 415)
    large = good.ljust(MAX_BODY + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 1 << 20):
            yield large[start : start + (1 << 20)]

    target.refused(await target.send(route, large), 413)
    target.refused(await target.send(route, chunks()), 413)
    assert target.rows() == target.stored
    answer = await target.send(route, large[:-1])
    assert answer.status_code in UNUSUAL.get(route, (200, 201)), "8 MB are not too much"


@pytest.mark.parametrize("route", sorted(OPTIONAL))
async def test_optional_body_may_be_absent(target: Target, route: str) -> None:
    for headers in ({}, JSON):
        answer = await target.send(route, b"", headers)
        assert answer.status_code in (200, 201), answer.text
    assert target.sql("select count(*) from sessions where config_id is null") == [(1 if "by-key" in route else 2,)]


LONG = "x" * 256
NOT_TEXT: list[Any] = [1, [], {}, True]
NOT_OBJECT: list[Any] = [[], "x", 1, True]
NO_MAP: list[Any] = [None, *NOT_OBJECT]
NO_NAME: list[Any] = [None, "", LONG, *NOT_TEXT]
NO_TAGS: list[Any] = [*NOT_OBJECT, {"a": 1}, {"a": None}, {"a": ["b"]}, {"": "x"}, {"k" * 101: ""}, {"a": "v" * 501}]
NO_TAGS += [{str(number): "" for number in range(51)}]
HI = {"role": "user", "content": "hi"}
NO_MESSAGES: list[Any] = [None, [], {}, "x", [HI] * 1001, [HI, 1], ["x"], [None], [[]], [[HI]]]
NO_MESSAGES += [[HI, HI | {"role": role}] for role in ("", "x" * 65, 1, True, [], {}, ["user"])]
NO_ID: list[Any] = [*NO_NAME, "x" * 101, "A", "a b", "a\n", "é", "a_b", "../a"]
NO_SEQ: list[Any] = [-1, 2**63, 2**64, 10**400, 0.5, "0", True, [], {}]
NO_COUNT: list[Any] = [None, 0, 31_536_001, *NO_SEQ]  # seconds and uses
NO_ROLE: list[Any] = [None, "", "Owner", "admin", *NOT_TEXT]
NO_RIGHTS: list[Any] = [*NO_MAP, {"send": 1}, {"send": None}, {"Send": True}, {"": True}, {"delete": True}]
NO_PEOPLE: list[Any] = [*NOT_OBJECT[1:], {}, [""], [LONG], [1], [None], [["x"]], ["x"] * 21]
NO_STATUS: list[Any] = [None, "", "done", "Active", *NOT_TEXT]
NO_KEY: list[Any] = ["", "x" * 513, "é" * 769, "a\n", ".", "..", *NOT_TEXT]
NO_ITEMS: list[Any] = ["x", {}, 1, True, [HI] * 21, [HI, 1], ["x"], [None], [[]], [{}], [HI, {"role": "user"}]]
NO_METADATA: list[Any] = [*NOT_OBJECT, {"a": 1}, {"a": None}, {"k" * 65: ""}, {"a": "v" * 513}]
NO_METADATA += [{str(number): "" for number in range(17)}]
CONFIG_FIELDS = {"name": NO_NAME, "config_data": NO_MAP, "tags": NO_TAGS, "description": NOT_TEXT}
NO_TAGS_PATCH: list[Any] = [tags for tags in NO_TAGS if tags != {"a": None}]
PATCHED_CONFIG = CONFIG_FIELDS | {"name": NO_NAME, "config_data": NO_MAP, "tags": NO_TAGS_PATCH}
SESSION_FIELDS = {"title": [LONG, *NOT_TEXT], "tags": NO_TAGS, "metadata": NOT_OBJECT}
MESSAGE_FIELDS = {
    "message": [None, "", "x" * 1_000_001, *NOT_TEXT],
    "context": NOT_OBJECT,
    "on_busy": [None, "", "wait", *NOT_TEXT],
}
WRONG: dict[str, dict[str, list[Any]]] = {
    "POST /configs": CONFIG_FIELDS | {"description": [*NOT_TEXT, "x" * 10_001]},
    "PUT /configs/{config_id}": CONFIG_FIELDS | {"name": NO_NAME[1:], "config_data": NOT_OBJECT},
    "PATCH /configs/{config_id}": PATCHED_CONFIG,
    "POST /sessions": SESSION_FIELDS | {"config_id": NO_NAME[1:], "external_id": NO_KEY},
    "PUT /sessions/by-key/mine": SESSION_FIELDS | {"config_id": NO_NAME[1:]},
    "PATCH /sessions/{session_id}": SESSION_FIELDS
    | {"tags": [None, *NO_TAGS], "metadata": NO_MAP, "status": NO_STATUS, "config_id": NO_NAME},
    "PATCH /sessions/{session_id}/": SESSION_FIELDS
    | {"tags": NO_TAGS_PATCH, "status": NO_STATUS, "config_id": NO_NAME},
    "PATCH /sessions/{session_id}/state": dict.fromkeys(("session", "user", "application"), NOT_OBJECT)
    | {"versions": [*NOT_OBJECT, *({"session": value} for value in NO_SEQ), {"Session": 1}]},
    "PATCH /state": dict.fromkeys(("user", "application"), NOT_OBJECT) | {"session": [{}]},
    "POST /sessions/{session_id}/transcript": {"messages": NO_MESSAGES, "expected_seq": NO_SEQ},
    "POST /sessions/{session_id}/transcript/retract": {
        "seqs": [None, [], {}, "x", 1, [0], [-1], [0.5], ["1"], [None], [2**63], [1] * 1001],
        "last": [1, 0, 1001, *NO_SEQ],
        "after_seq": [0, *NO_SEQ],
        "expected_seq": NO_SEQ,
        "erase": [None, 1, "true", []],
    },
    "POST /sessions/{session_id}/messages": MESSAGE_FIELDS,
    "POST /sessions/{session_id}/stream": MESSAGE_FIELDS,
    "POST /sessions/{session_id}/approvals/none": {"decision": [None, "", "x" * 201, *NOT_TEXT]},
    "POST /sessions/{session_id}/participants": {"user_id": NO_NAME, "role": NO_ROLE, "permissions": NO_RIGHTS},
    "PATCH /sessions/{session_id}/participants/dave": {"role": NO_ROLE, "permissions": NO_RIGHTS},
    "POST /sessions/{session_id}/invitations": {"role": NO_ROLE, "expires_in": NO_COUNT, "max_uses": NO_COUNT},
    "POST /sessions/{session_id}/transfer": {"user_id": NO_NAME},
    "POST /invitations/accept": {"token": [*NO_NAME, "x" * 401, f"inv_x_{LONG[:43]}", f"inv_{LONG}_{LONG[:43]}"]},
    "POST /applications": {
        "app_id": NO_ID,
        "app_name": NO_NAME,
        "settings": NO_MAP,
        "is_admin": [None, 1, "true"],
        "key_managers": [None, *NO_PEOPLE],
    },
    "PATCH /applications/other": {
        "app_name": NO_NAME,
        "settings": NO_MAP,
        "is_active": [None, 1, "true", []],
        "key_managers": [None, *NO_PEOPLE],
    },
    "POST /applications/other/keys": {"name": NO_NAME, "expires_in": [316_224_001, *NO_SEQ, 0]},
    "POST /sessions/{session_id}/fork": {"config_id": NO_NAME[1:], "title": [LONG, *NOT_TEXT], "up_to_seq": NO_SEQ},
    "POST /sessions/{session_id}/read": {"seq": [None, *NO_SEQ]},
    "POST /v1/conversations": {"items": NO_ITEMS, "metadata": NO_METADATA, "config_id": NO_NAME[1:]},
    "POST /v1/conversations/{conversation_id}": {"metadata": NO_METADATA},
    "POST /v1/conversations/{conversation_id}/items": {"items": [None, [], *NO_ITEMS]},
    "POST /v1/responses": {
        "conversation": [None, 1, [], {}, True, {"id": None}, {"id": 1}, {"id": "x", "x": 1}],
        "input": [None, "", "x" * 1_000_001, 1, {}, True, [], ["x"], [HI, HI], [HI | {"role": "system"}], [{}]],
        "model": ["x", *NOT_TEXT],
        "stream": [1, "true", [], {}],
        **{name: ["x"] for name in ("instructions", "previous_response_id", "tools", "background")},
    },
    "PUT /settings/a-key": {"scope": [*NO_NAME, "x" * 101]},
}
REQUIRED = {
    "name",
    "config_data",
    "messages",
    "app_id",
    "app_name",
    "value",
    "user_id",
    "role",
    "token",
    "items",
    "input",
}


@pytest.mark.parametrize("route", WRONG)
async def test_wrong_and_missing_fields_are_refused(target: Target, route: str) -> None:
    good = json.loads(target.good(route))
    bodies = [good | {field: value} for field, values in WRONG[route].items() for value in values]
    if route not in OPTIONAL and not route.startswith(("PUT /configs", "PATCH")) and not route.endswith("/fork"):
        bodies += [{name: good[name] for name in good if name != field} for field in REQUIRED & set(good)]
    for body in bodies:
        target.refused(await target.send(route, json.dumps(body)))
    assert target.rows() == target.stored


async def test_fields_of_service_cannot_be_assigned(api: Api, target: Target) -> None:
    evil: dict[str, Any] = dict.fromkeys(["owner_user_id", "user_id", "author_user_id", "actor_id"], "bob")
    evil |= dict.fromkeys(["created_at", "updated_at", "last_accessed_at"], "2000-01-01T00:00:00Z")
    evil |= dict.fromkeys(["last_seq", "message_count", "first_seq", "total_sessions"], 99)
    evil |= {"session_id": "x", "created_by_app_id": "x", "role": "viewer", "encrypted": True, "is_active": False}
    for route in ROUTES:
        response = await target.send(route, json.dumps(evil | json.loads(target.good(route))))
        if route not in LENIENT:
            target.refused(response)
            continue
        assert response.status_code in UNUSUAL.get(route, (200, 201)), response.text
        if route.endswith("/stream"):
            continue
        assert not {name for name, value in evil.items() if response.json().get(name) == value}
    assert (await (await api.as_user("bob", "admin")).get("/sessions")).json()["total"] == 0
    assert target.sql("select distinct author_user_id from messages") == [("alice",)]
    assert target.sql("select distinct user_id from runs") == [("alice",)]
