"""Hostile input: every write route refuses it with a 4xx problem document, and nothing is stored."""

import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from amplifier.openapi import document
from amplifier.web.request import MAX_BODY
from tests.conftest import CONFIG, Api, assert_problem

JSON = {"Content-Type": "application/json"}
TEXT = "§"  # in a good body: a string goes on here
VALUE = '"@"'  # in a good body: any JSON may stand here
ROUTES = {  # each write route, and a body that it accepts; the two bodies of a PUT of a config differ by a slash
    "POST /configs": """{"name": "a§", "description": "a§", "tags": {"a§": "a§"}, "config_data": {"bundle":
        {"name": "a§"}, "spawn": {"tools": ["a§"]}, "x": "@", "a§": {"a§": ["a§"]}}, "session": {"a§": "a§", "x": "@"},
        "includes": [{"bundle": "a§"}], "tools": [{"module": "a§"}], "providers": [{"module": "a§"}]}""",
    "PUT /configs/{config_id}": """{"name": "a§", "description": "a§", "tags": {"a§": "a§"},
        "config_data": {"bundle": {"name": "a§"}, "x": "@", "a§": {"a§": ["a§"]}}}""",
    "PUT /configs/{config_id}/": """{"session": {"a§": "a§", "x": "@"}, "includes": [{"bundle": "a§"}],
        "tools": [{"module": "a§", "x": "@"}], "providers": [{"module": "a§", "x": "@"}]}""",
    "POST /sessions": """{"config_id": "{config_id}§", "title": "a§", "tags": {"a§": "a§"},
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "PATCH /sessions/{session_id}": """{"title": "a§", "tags": {"a§": "a§"}, "status": "active§",
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "POST /sessions/{session_id}/transcript": """{"messages": [{"role": "user", "content": "hi"},
        {"role": "user§", "content": [{"type": "a§", "x": "@"}], "a§": "a§"}]}""",
    "POST /sessions/{session_id}/messages": """{"message": "a§", "context": {"a§": ["a§", {"x": "@"}]},
        "on_busy": "enqueue§"}""",
    "POST /sessions/{session_id}/stream": """{"message": "a§", "context": {"a§": ["a§", {"x": "@"}]},
        "on_busy": "enqueue§"}""",
    "POST /sessions/{session_id}/approvals/none": """{"decision": "allow§"}""",
    "POST /sessions/{session_id}/participants": """{"user_id": "new§", "role": "editor§", "permissions": {}}""",
    "PATCH /sessions/{session_id}/participants/dave": """{"role": "editor§", "permissions": {"invite§": false}}""",
    "POST /sessions/{session_id}/invitations": """{"role": "editor§", "expires_in": 60, "max_uses": 2}""",
    "POST /sessions/{session_id}/transfer": """{"user_id": "dave§"}""",
    "POST /invitations/accept": """{"token": "{token}§"}""",
    "POST /applications": """{"app_id": "new§", "app_name": "a§", "settings": {"a§": "a§", "x": "@"},
        "key_managers": ["a§"]}""",
    "PATCH /applications/other": """{"app_name": "a§", "settings": {"a§": "a§", "x": "@"}, "key_managers": ["a§"]}""",
    "POST /applications/other/keys": """{"name": "new§", "expires_in": 60}""",
    "POST /sessions/{session_id}/fork": """{"config_id": "{config_id}§", "title": "a§", "up_to_seq": 0}""",
    "POST /sessions/{session_id}/read": """{"seq": 1}""",
    "PUT /settings/a-key": """{"value": {"a§": ["a§", "@"]}, "scope": "a§"}""",
}
# what a good body gets where it is not accepted: its config cannot be run, there is no such question
UNUSUAL = {
    "POST /sessions/{session_id}/messages": (400,),
    "POST /sessions/{session_id}/approvals/none": (404,),
}
SAMPLE = {"POST /configs", "POST /sessions", "POST /sessions/{session_id}/transcript", "PUT /settings/a-key"}


def each(routes: Iterable[str]) -> Any:
    """A test for each route; the short run has some of them."""
    parameters = [pytest.param(route, marks=() if route in SAMPLE else pytest.mark.slow) for route in routes]
    return pytest.mark.parametrize("route", parameters)


each_route = each(ROUTES)


def test_every_route_that_takes_a_body_is_here() -> None:
    described = msgspec.json.decode(document.file().read_bytes())["paths"]
    taking = {
        f"{method.upper()} {path}"
        for path, item in described.items()
        for method in item
        if "requestBody" in item[method]
    }
    stand_ins = {"/a-key": "/{key}", "/dave": "/{user_id}", "/other": "/{app_id}", "/none": "/{approval_id}"}
    here = set()
    for route in ROUTES:
        path = route.removesuffix("/")
        for literal, parameter in stand_ins.items():
            path = path.replace(literal, parameter)
        here.add(path)
    assert here == taking


class Target:
    """A client that may do everything, and what it leaves in the database."""

    def __init__(self, client: httpx.AsyncClient, sql: Callable[..., list[Any]], ids: dict[str, str]) -> None:
        self.client, self.sql, self.ids = client, sql, ids
        tables = sql("select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace")
        self.tables = [name for (name,) in tables if name != "users" and "yoyo" not in name]
        self.stored = self.rows()

    def rows(self) -> list[Any]:
        digest = "select count(*), md5(string_agg(t::text, '|' order by t::text)) from"
        return [self.sql(f"{digest} {name} as t") for name in self.tables]

    def fill(self, text: str) -> str:
        return re.sub(r"{(\w+_id|token)}", lambda match: self.ids[match[1]], text)

    def good(self, route: str) -> str:
        return self.fill(ROUTES[route]).replace(TEXT, "").replace(VALUE, "1")

    async def send(self, route: str, body: Any = None, headers: Any = JSON) -> httpx.Response:
        method, url = self.fill(route).split(" ", 1)
        content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
        return await self.client.request(method, url, content=content, headers=headers)

    def refused(self, response: httpx.Response, *statuses: int) -> str:
        """The detail of a problem with one of the statuses."""
        named = response.url.path.endswith(("/invitations/accept", "/approvals/none"))
        expected = statuses or ((404, 422) if named else (422,))
        if "\ufffd" in unquote(response.url.raw_path.decode()):  # no text, whatever the route
            expected = (400,)
        assert response.status_code in expected, (str(response.url)[:100], response.text[:500])
        assert response.headers["x-request-id"]
        return str(assert_problem(response, response.status_code)["detail"])


@pytest.fixture
async def target(api: Api, sql: Callable[..., list[Any]]) -> Target:
    """A config, a session with a participant, and an invitation of an admin application's user."""
    client = await api.as_user("alice", "admin")
    config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
    session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    await client.post(f"/sessions/{session_id}/participants", json={"user_id": "dave", "role": "viewer"})
    token = (await client.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})).json()["token"]
    await api.register("other")
    await api.app.state.activity.flush()  # later it would change what is stored
    return Target(client, sql, {"config_id": config_id, "session_id": session_id, "token": token})


# as they stand in the body; \udcXX is the byte XX: invalid and overlong UTF-8, an encoded surrogate
CHARACTERS = ["\\u0000", "\\ud800", "\\udfff", "\\ud800\\ud800", "\\ud800x", "\x00", "\x1f", "\\x", "\\u12"]
CHARACTERS += ["\udcff", "\udcc0\udc80", "\udced\udca0\udc80", "\udcf5\udc80\udc80\udc80"]


@each_route
async def test_no_string_takes_what_is_not_text(target: Target, route: str) -> None:
    parts = target.fill(ROUTES[route]).replace(VALUE, "1").split(TEXT)
    for place, characters in itertools.product(range(1, len(parts)), CHARACTERS):
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
async def test_no_value_takes_depth_or_numbers_without_end(target: Target, route: str) -> None:
    parts = target.fill(ROUTES[route]).replace(TEXT, "").split(VALUE)
    for place, value in itertools.product(range(1, len(parts)), DEEP + NUMBERS + BROKEN):
        target.refused(await target.send(route, "1".join(parts[:place]) + value + "1".join(parts[place:])))
    assert target.rows() == target.stored


@each_route
async def test_only_one_json_object_in_utf8_of_8_mb_is_a_body(target: Target, route: str) -> None:
    text = target.good(route)
    good = text.encode()
    bodies = [b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff", b"\0" * 9, text.encode("utf-16"), text.encode("utf-32")]
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


LONG = "x" * 256
NOT_TEXT: list[Any] = [1, [], {}, True]
NOT_OBJECT: list[Any] = [[], "x", 1, True]
NO_MAP: list[Any] = [None, *NOT_OBJECT]
NO_NAME: list[Any] = [None, "", LONG, *NOT_TEXT]
NO_TAGS: list[Any] = [*NOT_OBJECT, {"a": 1}, {"a": None}, {"a": ["b"]}, {"": "x"}, {"k" * 101: ""}, {"a": "v" * 501}]
NO_TAGS += [{str(number): "" for number in range(51)}]
HI = {"role": "user", "content": "hi"}
NO_MESSAGES: list[Any] = [None, [], {}, "x", [HI] * 1001, [HI, 1], ["x"], [None], [[]], [[HI]], [{}], [{"content": ""}]]
NO_MESSAGES += [[HI, HI | {"role": role}] for role in ("admin", "", "User", None, 1, [], {}, ["user"], "user ")]
NO_ID: list[Any] = [*NO_NAME, "x" * 101, "A", "a b", "a\n", "é", "a_b", "../a"]
NO_SEQ: list[Any] = [-1, 2**63, 2**64, 10**400, 0.5, "0", True, [], {}]
NO_COUNT: list[Any] = [None, 0, 31_536_001, *NO_SEQ]  # seconds and uses
NO_ROLE: list[Any] = [None, "", "Owner", "admin", *NOT_TEXT]
NO_RIGHTS: list[Any] = [*NOT_OBJECT, {"send": 1}, {"send": None}, {"Send": True}, {"": True}, {"delete": True}]
NO_PEOPLE: list[Any] = [*NOT_OBJECT[1:], {}, [""], [LONG], [1], [None], [["x"]], ["x"] * 21]
CONFIG_FIELDS = {"name": NO_NAME, "config_data": NO_MAP, "tags": NO_TAGS, "description": NOT_TEXT}
SESSION_FIELDS = {"title": [LONG, *NOT_TEXT], "tags": NO_TAGS, "metadata": NOT_OBJECT}
MESSAGE_FIELDS = {
    "message": [None, "", "x" * 1_000_001, *NOT_TEXT],
    "context": NOT_OBJECT,
    "on_busy": [None, "", "wait", *NOT_TEXT],
}
WRONG: dict[str, dict[str, list[Any]]] = {
    "POST /configs": CONFIG_FIELDS | {"description": [*NOT_TEXT, "x" * 10_001]},
    "PUT /configs/{config_id}": CONFIG_FIELDS | {"name": NO_NAME[1:], "config_data": NOT_OBJECT},
    "POST /sessions": SESSION_FIELDS | {"config_id": NO_NAME},
    "PATCH /sessions/{session_id}": SESSION_FIELDS | {"status": ["", "done", "Active", *NOT_TEXT]},
    "POST /sessions/{session_id}/transcript": {"messages": NO_MESSAGES, "expected_seq": NO_SEQ},
    "POST /sessions/{session_id}/messages": MESSAGE_FIELDS,
    "POST /sessions/{session_id}/stream": MESSAGE_FIELDS,
    "POST /sessions/{session_id}/approvals/none": {"decision": [None, "", "x" * 201, *NOT_TEXT]},
    "POST /sessions/{session_id}/participants": {"user_id": NO_NAME, "role": NO_ROLE, "permissions": NO_RIGHTS},
    "PATCH /sessions/{session_id}/participants/dave": {"role": NO_ROLE[1:], "permissions": NO_RIGHTS},
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
        "app_name": NO_NAME[1:],
        "settings": NOT_OBJECT,
        "is_active": [1, "true", []],
        "key_managers": NO_PEOPLE,
    },
    "POST /applications/other/keys": {"name": NO_NAME, "expires_in": [316_224_001, *NO_SEQ, 0]},
    "POST /sessions/{session_id}/fork": {"config_id": NO_NAME[1:], "title": [LONG, *NOT_TEXT], "up_to_seq": NO_SEQ},
    "POST /sessions/{session_id}/read": {"seq": [None, *NO_SEQ]},
    "PUT /settings/a-key": {"scope": [*NO_NAME, "x" * 101]},
}
REQUIRED = {"name", "config_data", "config_id", "messages", "app_id", "app_name", "value", "user_id", "role", "token"}


@pytest.mark.parametrize("route", WRONG)
async def test_wrong_and_missing_fields_are_refused(target: Target, route: str) -> None:
    good = json.loads(target.good(route))
    bodies = [good | {field: value} for field, values in WRONG[route].items() for value in values]
    if not route.startswith(("PUT /configs", "PATCH")) and not route.endswith("/fork"):
        bodies += [{name: good[name] for name in good if name != field} for field in REQUIRED & set(good)]
    for body in bodies:
        target.refused(await target.send(route, json.dumps(body)))
    assert target.rows() == target.stored


BAD_NUMBERS = ["-1", "x", "", "1.5", "1e400", "NaN", "%00", "%ed%a0%80", str(2**63), str(2**64), "9" * 5000]
TRANSCRIPT, PARTICIPANTS = "/sessions/{session_id}/transcript", "/sessions/{session_id}/participants"
INVITATIONS, MINE = "/sessions/{session_id}/invitations", "/users/me/sessions"
LIMITS = [f"limit={number}" for number in [*BAD_NUMBERS, "0", "1001"]]
QUERIES = {
    f"/configs /sessions /settings {TRANSCRIPT} {PARTICIPANTS}": LIMITS,
    f"{INVITATIONS} {MINE}": [*LIMITS, "limit=201"],
    "/configs /sessions /settings": ["limit=201", *(f"offset={n}" for n in [*BAD_NUMBERS, str(2**31)])],
    "/configs /sessions": ["tag=x", "tag=:x", "tag=%00:x", "tag=a:%00", "tag=a:b&tag=a:c", "&".join(["tag=a:b"] * 21)],
    INVITATIONS: [f"after={number}" for number in [*BAD_NUMBERS, "0"]],
    PARTICIPANTS: ["after=%00", f"after={LONG}"],
    "/sessions": ["owned=perhaps", "owned=2", "owned=%00"],
    f"/configs/ /sessions/ {MINE}/": [f"after={cursor}" for cursor in ("", "x", "%00", "W10", "é", "a" * 5000)],
    TRANSCRIPT: [*(f"after={number}" for number in BAD_NUMBERS), "view=all", "as_of=x", "as_of=%00", "as_of="],
    "/configs/{config_id}/versions /audit": [*LIMITS, "limit=201", *(f"after={number}" for number in BAD_NUMBERS)],
    "/audit": ["since=x", "until=%00", f"user_id={LONG}", "target_id=%00", "action=%ed%a0%80%00"],
    "/configs/{config_id}": ["decrypt=perhaps"],
    "/settings": ["after=%00"],
}


async def test_parameters_out_of_range_are_refused(target: Target) -> None:
    for paths, queries in QUERIES.items():
        for path, query in itertools.product(paths.split(), queries):
            target.refused(await target.send(f"GET {path}?{query}"))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/configs", "/sessions", MINE])
async def test_a_broken_cursor_shows_nothing_of_others(api: Api, target: Target, path: str) -> None:
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
        response = await target.client.get(path, params={"after": "".join(text)})
        statuses.add(response.status_code)
        if response.status_code == 200:
            assert not {row[f"{name[:-1]}_id"] for row in response.json()[name]} & {config_id, session_id}, "bob's"
        else:
            target.refused(response)
    assert statuses == {200, 422}


PATHS = """GET /configs/@, GET /sessions/@, GET /sessions/@/transcript, GET /sessions/@/diagnosis,
    POST /sessions/@/repair, GET /applications/@, GET /settings/@,
    DELETE /configs/@, DELETE /sessions/@, DELETE /applications/@, DELETE /settings/@, POST /sessions/@/resume,
    POST /sessions/@/transcript, POST /sessions/@/messages, POST /sessions/@/stream, POST /sessions/@/cancel,
    GET /sessions/@/runs, GET /sessions/{session_id}/runs/@, GET /sessions/@/approvals,
    POST /sessions/{session_id}/approvals/@, POST /sessions/@/approvals/x,
    POST /applications/@/regenerate-key, PATCH /sessions/@, PUT /configs/@, GET /users/@,
    GET /sessions/@/participants, POST /sessions/@/participants, PATCH /sessions/@/participants/dave,
    PATCH /sessions/{session_id}/participants/@, DELETE /sessions/{session_id}/participants/@,
    GET /configs/@/versions, GET /configs/@/versions/1, POST /configs/@/versions/1/restore, POST /sessions/@/fork,
    GET /applications/@/keys, POST /applications/@/keys, DELETE /applications/@/keys/x, PATCH /applications/@,
    DELETE /applications/other/keys/@, GET /sessions/@/invitations, POST /sessions/@/invitations,
    DELETE /sessions/{session_id}/invitations/@"""
BODY = (
    '{"messages": [{"role": "user"}], "user_id": "x", "role": "viewer", "name": "n", "message": "m", "decision": "d"}'
)
IDS = ["%00", "a%00b", "%ed%a0%80", "%ff", "%0d%0aX-Evil:1", "..%2f..", "'%20or%201=1--", "x" * 10_000, "%F0%9F%92%A9"]


async def test_ids_that_cannot_be_are_not_found(target: Target) -> None:
    for route, identifier in itertools.product(PATHS.split(","), IDS):
        body = BODY if route.strip()[0] == "P" else None
        target.refused(await target.send(route.strip().replace("@", identifier), body), 404, 422)
    for body in ('{"name": "a"}', '{"config_data": {"bundle": {"name": "a"}}}', "{}"):
        assert target.refused(await target.send("PUT /configs/none", body), 404) == "Config not found"
    for key in ("%00", LONG, "%ed%a0%80%00"):
        target.refused(await target.send(f"PUT /settings/{key}", '{"value": 1}'))
    assert target.rows() == target.stored


@pytest.mark.slow
async def test_odd_headers_do_no_harm(target: Target) -> None:
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
    for route in ("PUT /configs", "PATCH /configs/a", "POST /health", "DELETE /sessions", "GET /sessions/a/resume"):
        assert target.refused(await target.send(route), 405) == "Method not allowed on this route"


async def test_fields_of_the_service_cannot_be_assigned(api: Api, target: Target) -> None:
    evil: dict[str, Any] = dict.fromkeys(["owner_user_id", "user_id", "author_user_id", "actor_id"], "bob")
    evil |= dict.fromkeys(["created_at", "updated_at", "last_accessed_at"], "2000-01-01T00:00:00Z")
    evil |= dict.fromkeys(["last_seq", "message_count", "first_seq", "total_sessions"], 99)
    evil |= {"session_id": "x", "created_by_app_id": "x", "role": "viewer", "encrypted": True, "is_active": False}
    for route in ROUTES:
        response = await target.send(route, json.dumps(evil | json.loads(target.good(route))))
        assert response.status_code in UNUSUAL.get(route, (200, 201)), response.text
        if route.endswith("/stream"):
            continue
        may_set = {"is_active"} if route.startswith("PATCH /applications") else set()
        assert not {name for name, value in evil.items() if response.json().get(name) == value} - may_set
    assert (await (await api.as_user("bob", "admin")).get("/sessions")).json()["total"] == 0
    assert target.sql("select distinct author_user_id from messages") == [("alice",)]
    assert target.sql("select distinct user_id from runs") == [("alice",)]
