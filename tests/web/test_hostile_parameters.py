"""Hostile parameters, ids, headers and routes: refused with a 4xx problem document, and nothing is stored."""

import itertools
import random

import pytest

from tests.conftest import CONFIG, Api
from tests.support.hostile import JSON, Target
from tests.support.hostile import target as target

LONG = "x" * 256
BAD_NUMBERS = ["-1", "x", "", "1.5", "1e400", "NaN", "%00", "%ed%a0%80", str(2**63), str(2**64), "9" * 5000]
TRANSCRIPT, PARTICIPANTS = "/sessions/{session_id}/transcript", "/sessions/{session_id}/participants"
INVITATIONS, MINE = "/sessions/{session_id}/invitations", "/users/me/sessions"
LIMITS = [f"limit={number}" for number in [*BAD_NUMBERS, "0", "1001"]]
QUERIES = {
    f"/configs /sessions /settings {TRANSCRIPT} {PARTICIPANTS}": LIMITS,
    f"{INVITATIONS} {MINE}": [*LIMITS, "limit=201"],
    "/configs /sessions /settings": ["limit=201", *(f"offset={n}" for n in [*BAD_NUMBERS, str(2**31)])],
    "/configs /sessions": ["tag=x", "tag=:x", "tag=%00:x", "tag=a:%00", "tag=a:b&tag=a:c", "&".join(["tag=a:b"] * 21)],
    "/sessions": ["owned=perhaps", "owned=2", "owned=%00"],
    f"/configs/ /sessions/ {MINE}/ {INVITATIONS} {PARTICIPANTS} /settings /configs/{{config_id}}/versions /audit": [
        f"{name}={cursor}" for name in ("cursor", "after") for cursor in ("", "x", "%00", "W10", "é", "a" * 5000)
    ],
    TRANSCRIPT: [
        *(f"{name}={number}" for name in ("after", "before") for number in BAD_NUMBERS),
        "order=up",
        "view=all",
        "as_of=x",
        "as_of=%00",
        "as_of=",
    ],
    "/configs/{config_id}/versions /audit": [*LIMITS, "limit=201"],
    "/audit": ["created_after=x", "created_before=%00", f"user_id={LONG}", "target_id=%00", "action=%ed%a0%80%00"],
    "/configs/{config_id}": ["decrypt=perhaps"],
}


async def test_parameters_out_of_range_are_refused(target: Target) -> None:
    for paths, queries in QUERIES.items():
        for path, query in itertools.product(paths.split(), queries):
            target.refused(await target.send(f"GET {path}?{query}"))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/configs", "/sessions", MINE])
async def test_broken_cursor_shows_no_rows_of_others(api: Api, target: Target, path: str) -> None:
    for user_id in ("alice", "bob"):
        client = await api.as_user(user_id, "admin")
        config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    name = path.rpartition("/")[2]
    cursor = (await target.client.get(f"{path}?limit=1")).json()["next"]
    dice = random.Random(1)
    statuses = set()
    for _ in range(1000):
        text = list(cursor)
        for place in dice.choices(range(len(text)), k=dice.randint(1, 3)):
            text[place : place + dice.randint(0, 2)] = dice.choices("-_=.AMZaz019\0\n%é", k=dice.randint(0, 2))
        response = await target.client.get(path, params={"cursor": "".join(text)})
        statuses.add(response.status_code)
        if response.status_code == 200:
            assert not {row[f"{name[:-1]}_id"] for row in response.json()[name if "users" not in path else "items"]} & {
                config_id,
                session_id,
            }, "bob's"
        else:
            target.refused(response)
    assert statuses == {200, 422}


PATHS = """GET /configs/@, GET /sessions/@, GET /sessions/@/transcript, GET /sessions/@/transcript/1,
    GET /sessions/@/diagnosis,
    POST /sessions/@/repair, GET /applications/@, GET /settings/@,
    DELETE /configs/@, DELETE /sessions/@, DELETE /applications/@, DELETE /settings/@, POST /sessions/@/resume,
    POST /sessions/@/transcript, POST /sessions/@/messages, POST /sessions/@/stream, POST /sessions/@/cancel,
    GET /sessions/@/runs, GET /sessions/{session_id}/runs/@, GET /sessions/@/approvals,
    POST /sessions/{session_id}/approvals/@, POST /sessions/@/approvals/x,
    POST /applications/@/regenerate-key, PATCH /sessions/@, PUT /configs/@, GET /users/@,
    GET /sessions/@/participants, GET /sessions/{session_id}/participants/@, POST /sessions/@/participants,
    PATCH /sessions/@/participants/dave,
    PATCH /sessions/{session_id}/participants/@, DELETE /sessions/{session_id}/participants/@,
    GET /configs/@/versions, GET /configs/@/versions/1, POST /configs/@/versions/1/restore, POST /sessions/@/fork,
    GET /applications/@/keys, POST /applications/@/keys, DELETE /applications/@/keys/x, PATCH /applications/@,
    DELETE /applications/other/keys/@, GET /sessions/@/invitations, POST /sessions/@/invitations,
    DELETE /sessions/{session_id}/invitations/@"""
BODY = (
    '{"messages": [{"role": "user"}], "user_id": "x", "role": "viewer", "name": "n", "message": "m", "decision": "d"}'
)
IDS = ["%00", "a%00b", "%ed%a0%80", "%ff", "%0d%0aX-Evil:1", "..%2f..", "'%20or%201=1--", "x" * 10_000, "%F0%9F%92%A9"]


@pytest.mark.slow
async def test_impossible_ids_are_not_found(target: Target) -> None:
    for route, identifier in itertools.product(PATHS.split(","), IDS):
        body = BODY if route.strip()[0] == "P" else None
        target.refused(await target.send(route.strip().replace("@", identifier), body), 404, 422)
    for body in ('{"name": "a"}', '{"config_data": {"bundle": {"name": "a"}}}', "{}"):
        assert target.refused(await target.send("PUT /configs/none", body), 404) == "Config not found"
    for key in ("%00", LONG, "%ed%a0%80%00"):
        target.refused(await target.send(f"PUT /settings/{key}", '{"value": 1}'))
    assert target.rows() == target.stored


@pytest.mark.slow
async def test_odd_headers_are_harmless(target: Target) -> None:
    odd = [b"a\x00b", b"a b", b"", b"\xff\xfe", "é".encode(), b"x" * 129, b"a\r\nX-Evil: 1", b"a\n", b"'", b'"']
    names = ["Accept", "Accept-Encoding", "Cookie", "Origin", "Host", "Referer", "Range", "If-Match", "X-Forwarded-For"]
    for value in odd:
        response = await target.client.get("/health", headers={"X-Request-ID": value})
        assert len(response.headers["x-request-id"]) == 32
        assert "x-evil" not in response.headers
        for name, route in itertools.product(names, ("PUT /configs/{config_id}", "PATCH /sessions/{session_id}")):
            response = await target.send(route, target.good(route), [*JSON.items(), (name, value)])
            expected = {"Host": (200, 422), "If-Match": (412,)}.get(name, (200,))
            assert response.status_code in expected, (name, value, response.text)


async def test_unknown_routes_and_methods_are_problems(target: Target) -> None:
    for route in ("GET /none", "GET /configs/a/b", "GET /sessions/a/none", "GET /%00", "POST /api/v1/configs"):
        assert target.refused(await target.send(route), 404) == "Not found: there is no such route"
    for route in ("PUT /configs", "PATCH /settings/a", "POST /health", "DELETE /sessions", "GET /sessions/a/resume"):
        assert target.refused(await target.send(route), 405) == "Method not allowed on this route"
