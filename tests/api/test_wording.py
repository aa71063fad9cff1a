"""No answer tells a stranger whether something exists: of any method, with any input, to any path that names it."""

import itertools
import json
import random
import re
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import httpx
import pytest
from litestar.routes import HTTPRoute

from amplifier.api.routes import routes
from tests.conftest import CONFIG, Api, settings_for

Sql = Callable[..., list[Any]]
PATHS = sorted(
    route.path_format
    for route in routes(settings_for("postgresql://x")).routes
    if isinstance(route, HTTPRoute)
    and {"{session_id}", "{config_id}", "{app_id}", "{user_id}"} & {*route.path_format.split("/")}
)
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "QUERY"]
QUERIES = """
    limit=0 limit=x after=x after=-1 after=1 after=999 after=%00 cursor=x view=all q= q=hi q=hi&cursor=x offset=1 tag=x
    q=hi&role=x decrypt=true decrypt=x q=hi&created_after=2020 tag=a:b owned=true ticket=x unknown=1 q=hi&context=9
"""
GOOD = {
    "config_id": "none",
    "decision": "allow",
    "last": 1,
    "message": "hi",
    "messages": [{"role": "user", "content": "hi"}],
    "name": "new",
    "permissions": {"send": True},
    "role": "viewer",
    "seq": 1,
    "title": "new",
    "user_id": "dave",
}
# the members of bodies that refuse unknown ones
NAMES = [
    "decision",
    "last",
    "messages",
    "permissions role",
    "permissions role user_id",
    "role",
    "seq",
    "title",
    "user_id",
]
BODIES: list[tuple[Any, str]] = [
    (json.dumps(GOOD), "application/json"),
    (json.dumps({**GOOD, "expected_seq": 0}), "application/json"),
    (json.dumps({**GOOD, "user_id": "zq-owner"}), "application/json"),
    (json.dumps({**GOOD, "role": "owner"}), "application/json"),
    *((json.dumps({name: GOOD[name] for name in names.split()}), "application/json") for names in NAMES),
    (json.dumps(GOOD), "text/plain"),
    ("", "application/json"),
    ("{", "application/json"),
    ("{}", "application/json"),
    ("[]", "application/json"),
    (b"\xff", "application/json"),
    ('{"messages": [{"role": "nobody"}], "seq": 999}', "application/json"),
    ('{"messages": [{"role": "user", "x": "\\u0000"}]}', "application/json"),
    (json.dumps(dict.fromkeys(GOOD, 1)), "application/json"),
    (json.dumps(dict.fromkeys(GOOD)), "application/json"),
]
HEADERS = [
    {"If-Match": '"1"'},
    {"If-Match": "*"},
    {"If-None-Match": "*"},
    {"If-Unmodified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"},
    {"Last-Event-ID": "1"},
    {"Last-Event-ID": "x"},
    {"Range": "bytes=0-1"},
    {"Accept": "text/html"},
    {"Accept": "text/event-stream"},
    {"Accept-Encoding": "gzip"},
    {"Origin": "https://app.example"},
    {"Content-Encoding": "gzip"},
    {"X-HTTP-Method-Override": "DELETE"},
]


class World(NamedTuple):
    """Ids of the owner's resources, ids that never existed, and clients of strangers."""

    real: dict[str, str]
    unreal: dict[str, str]
    strangers: dict[str, httpx.AsyncClient]
    rows: Callable[[], Any]

    async def told(self, user: str, method: str, path: str, ids: dict[str, str], **options: Any) -> Any:
        """All that the answer says, without the ids that were sent."""
        url = path
        for name, value in ids.items():
            url = url.replace(f"{{{name}}}", value)
        url = re.sub(r"{\w+}", "1", url)  # what is no id, as the number of a version
        headers = {"X-Request-ID": "one", "Idempotency-Key": str(uuid.uuid4()), **options.pop("headers", {})}
        answer = await self.strangers[user].request(method, url, headers=headers, **options)
        body = answer.content
        for name, value in ids.items():
            body = body.replace(value.encode(), name.encode())
        return answer.status_code, sorted(answer.headers.multi_items()), body

    async def assert_same(self, method: str, path: str, **options: Any) -> set[int]:
        """The statuses, which are the same for what exists and what does not, as all else is."""
        statuses = set()
        for user in self.strangers:
            real = await self.told(user, method, path, self.real, **options)
            assert real == await self.told(user, method, path, self.unreal, **options), (user, method, path, options)
            statuses.add(real[0])
        return statuses


@pytest.fixture
async def world(api: Api, sql: Sql) -> World:
    owner = await api.as_user("zq-owner", "zq-app")
    config_id = (await owner.post("/configs", json=CONFIG)).json()["config_id"]
    session_id = (await owner.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    path = f"/sessions/{session_id}"
    for user_id in ("dave", "removed"):
        await owner.post(f"{path}/participants", json={"user_id": user_id, "role": "editor"})
    invitation = (await owner.post(f"{path}/invitations", json={"role": "viewer"})).json()
    await owner.post(f"{path}/transcript", json={"messages": [{"role": "user", "content": "hi"}]})
    sent = await owner.post(f"{path}/attachments", content=b"hi", headers={"Content-Type": "text/plain"})
    sha256 = sent.json()["attachment"].rpartition("/")[2]
    assert (await owner.delete(f"{path}/participants/removed")).status_code == 204
    real = {"config_id": config_id, "session_id": session_id, "invitation_id": invitation["invitation_id"]}
    unreal = {name: str(uuid.uuid4()) for name in real} | {"sha256": "0" * 64}
    real["sha256"] = sha256
    strangers = {
        "stranger": await api.as_user("stranger"),
        "removed": await api.as_user("removed"),
        "admin": await api.as_user("stranger", "admin"),
        "nobody": api.client(),
    }
    for client in strangers.values():
        await client.get("/users/me")
    await api.app.state.activity.flush()
    named = {"version": "1", "key_id": owner.headers["x-api-key"][:20]}
    digest = "select md5(string_agg((to_jsonb(t) - 'last_active_at')::text, '|' order by t::text)) from"
    tables = ("sessions", "session_participants", "messages", "session_events", "session_invitations", "configs")
    tables += ("retracted_messages", "attachments")
    return World(
        real | {"app_id": "zq-app", "user_id": "zq-owner", "token": invitation["token"]} | named,
        unreal | {"app_id": "xq-app", "user_id": "xq-owner", "token": f"inv_{unreal['session_id']}_{'x' * 43}"} | named,
        strangers,
        lambda: [sql(f"{digest} {table} as t") for table in tables],
    )


def without_admin(path: str, world: World) -> World:
    """Admin applications may know of all applications and users."""
    if path.startswith(("/applications", "/users")):
        return world._replace(strangers={name: one for name, one in world.strangers.items() if name != "admin"})
    return world


def calls(path: str) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Every method with good and bad input."""
    for method in METHODS:
        yield method, path, {}
        for query in QUERIES.split():
            yield method, f"{path}?{query}", {}
        for headers in HEADERS:
            yield method, path, {"headers": headers}
    for method, (content, kind) in itertools.product(("POST", "PUT", "PATCH", "DELETE"), BODIES):
        yield method, path, {"content": content, "headers": {"Content-Type": kind}}


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
async def test_path_tells_no_stranger_what_exists(world: World, path: str) -> None:
    assert {401, 404} <= await statuses_of(world, path, calls(path))


@pytest.mark.slow
async def test_sampled_requests_tell_no_stranger_what_exists(world: World) -> None:
    """About a thousand of the requests above, other ones for each path."""
    statuses = set[int]()
    for path in PATHS:
        sample = random.Random(path).sample(list(calls(path)), 3)
        statuses |= await statuses_of(world, path, [("GET", path, {}), ("POST", path, {}), *sample])
    assert {401, 404, 405} <= statuses


async def statuses_of(world: World, path: str, calls: Iterable[tuple[str, str, dict[str, Any]]]) -> set[int]:
    """The statuses of calls that tell nothing and change nothing."""
    before, statuses = world.rows(), set[int]()
    for method, url, options in calls:
        statuses |= await without_admin(path, world).assert_same(method, url, **options)
    assert statuses <= {204, 401, 403, 404, 405, 415, 422} | ({200} if path == "/users/me" else set())
    assert world.rows() == before
    return statuses


NAMED_ELSEWHERE = [
    ("POST", "/sessions", {"config_id": "{config_id}"}),
    ("POST", "/sessions", {"config_id": "{config_id}", "title": 1}),
    ("GET", "/search?q=hi&session_id={session_id}", None),
    ("GET", "/search?q=hi&config_id={config_id}", None),
    ("GET", "/search?q=the&session_id={session_id}", None),
    ("GET", "/search?q=hi&session_id={session_id}&cursor=x", None),
    ("GET", "/search?q=hi&author={user_id}", None),
    ("GET", "/sessions?q=hi&tag=a:{session_id}", None),
    ("GET", "/events?ticket={session_id}", None),
    ("POST", "/invitations/accept", {"token": "inv_{session_id}_" + "x" * 43}),
    ("POST", "/invitations/accept", {"token": "{session_id}"}),
    ("POST", "/invitations/accept", {"token": "inv_{session_id}_{invitation_id}"}),
]


@pytest.mark.parametrize(("method", "path", "body"), NAMED_ELSEWHERE)
async def test_parameter_or_body_tells_no_stranger_what_exists(
    world: World, method: str, path: str, body: dict[str, Any] | None
) -> None:
    before = world.rows()
    for user in world.strangers:
        told = []
        for ids in (world.real, world.unreal):
            content = json.dumps(body) if body else None
            for name, value in ids.items():
                content = content and content.replace(f"{{{name}}}", value)
            headers = {"Content-Type": "application/json"} if body else {}
            told.append(await world.told(user, method, path, ids, content=content, headers=headers))
        assert told[0] == told[1], user
    assert world.rows() == before


async def test_participant_of_one_session_learns_nothing_of_another(world: World, api: Api) -> None:
    """Ids of what belongs to somebody else's session, named below one's own."""
    stranger = await api.as_user("stranger")
    config_id = (await stranger.post("/configs", json=CONFIG)).json()["config_id"]
    own = (await stranger.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    only = world._replace(strangers={"stranger": stranger})
    for path in (f"/sessions/{own}/invitations/{{invitation_id}}", f"/sessions/{own}/participants/{{user_id}}"):
        for method, body in itertools.product(METHODS, (None, {"role": "viewer"})):
            await only.assert_same(method, path, json=body)
