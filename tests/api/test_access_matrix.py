"""The answers of every route that takes a session or config, for each kind of caller."""

import json
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.routes import HTTPRoute

from tests.api.access_table import ACTIVE, BODIES, CALLERS, EXPECTED, FILTERED, GOING_ON, STRANGERS
from tests.conftest import Api, assert_problem

each_route = pytest.mark.parametrize(("method", "path"), EXPECTED)

# A config, and a session made from it in which everybody takes part who ever will.
STATE = """
    with config as (
        insert into configs (config_id, name, config_json, user_id, version)
        values (gen_random_uuid(), 'c', '{"bundle": {"name": "c"}}', 'owner', 2) returning config_id
    ), version as (
        insert into config_versions (config_id, version, name, config_json, tags, created_at)
        select config_id, 1, 'former', '{"bundle": {"name": "c"}}', '{}', now() from config
    ), session as (
        insert into sessions (session_id, config_id, owner_user_id, created_by_app_id, status, last_seq, message_count)
        select gen_random_uuid(), config_id, 'owner', 'app', %s, 3, 1 from config returning session_id, config_id
    ), participants as (
        insert into session_participants (session_id, user_id, role)
        select session_id, user_id, role from session, (values
            ('owner', 'owner'), ('partner', 'owner'), ('editor', 'editor'), ('viewer', 'viewer'), ('removed', 'editor'),
            ('guest', 'viewer')
        ) as people (user_id, role)
    ), message as (
        insert into messages (session_id, seq, message, author_user_id, author_app_id)
        select session_id, 1, '{"role": "assistant", "content": "hi", "tool_calls": [{"id": "1", "name": "run"}]}',
            'owner', 'app' from session
    ), invitation as (
        insert into session_invitations (
            session_id, invitation_id, seq, token_hash, role, max_uses, created_by_user_id, expires_at
        ) select session_id, gen_random_uuid(), 2, repeat('a', 64), 'editor', 1, 'owner', 'infinity' from session
        returning invitation_id
    ), attachment as (
        insert into attachments (session_id, sha256, size, content_type, created_by_user_id, created_by_app_id)
        select session_id, repeat('a', 64), 1, 'text/plain', 'owner', 'app' from session
        returning session_id, sha256
    ), event as (
        insert into session_events (session_id, seq, type, actor_user_id)
        select session_id, 3, 'participant.added', 'owner' from session
    )
    select config_id, session_id, invitation_id from session, invitation
"""
# The agent is at work, and asks.
RUN = """
    with run as (
        insert into runs (
            session_id, run_id, status, message, user_id, app_id, started_at, process_id, lease_expires_at
        )
        values (%s, 'run', 'running', '{"role": "user"}', 'owner', 'app', now(), 'elsewhere', 'infinity')
        returning session_id
    )
    insert into run_approvals (session_id, approval_id, run_id, prompt, options, expires_at)
    select session_id, 'approval', 'run', 'May I?', array['Allow', 'Deny'], 'infinity' from run
"""
KEPT = [
    "runs",
    "run_approvals",
    "sessions",
    "session_participants",
    "messages",
    "session_events",
    "session_invitations",
    "attachments",
    "configs",
    "stream_tickets",
]


class Target:
    """Everybody's clients, and fresh sessions for them."""

    def __init__(self, api: Api, clients: dict[str, httpx.AsyncClient], sql: Callable[..., list[Any]]) -> None:
        self.api, self.clients, self.sql = api, clients, sql

    async def fresh(self, status: str = "completed") -> dict[str, str]:
        """The ids of a new config and session, from which `removed` has been removed."""
        [(config_id, session_id, invitation_id)] = self.sql(STATE, status)
        self.sql(RUN, session_id)
        self.sql("insert into attachment_chunks values (%s, repeat('a', 64), 0, 'x')", session_id)
        gone = await self.clients["owner"].delete(f"/sessions/{session_id}/participants/removed")
        assert gone.status_code == 204, gone.text
        ids = {"config_id": config_id, "session_id": session_id, "invitation_id": invitation_id}
        return (
            ids
            | {"user_id": "guest", "version": "1", "seq": "1", "run_id": "run", "approval_id": "approval"}
            | {"external_id": "key", "conversation_id": f"conv_{session_id}", "item_id": "msg_seq1"}
            | {"sha256": "a" * 64}
        )

    async def send(self, caller: str, method: str, path: str, body: Any, ids: dict[str, str]) -> httpx.Response:
        """Returns the caller's answer, with one request id for all so that answers can be compared."""
        values = ids | {"caller": caller}
        content = None if body is None else _filled(json.dumps(body), values)
        headers = {"X-Request-ID": "a-request", **({} if body is None else {"Content-Type": _type(method, path)})}
        client = self.clients[caller]
        return await client.request(method, _filled(path, values), content=content, headers=headers)

    def rows(self) -> list[Any]:
        """A digest of every table that a session is in; when somebody was last active is written when there is time."""
        digest = "select count(*), md5(string_agg((to_jsonb(t) - 'last_active_at')::text, '|' order by t::text)) from"
        return [self.sql(f"{digest} {name} as t") for name in KEPT]


@pytest.fixture
async def target(api: Api, sql: Callable[..., list[Any]]) -> Target:
    """A client for every caller."""
    clients = {caller: await api.as_user(caller) for caller in CALLERS}
    clients["elsewhere"] = await api.as_user("owner", "other")
    clients["admin"] = await api.as_user("admin", "admin")
    clients["nobody"] = api.client()
    return Target(api, clients, sql)


async def test_every_route_has_an_expectation(api: Api) -> None:
    assert _difference(api.app) == ""


@each_route
async def test_everybody_gets_what_is_theirs(target: Target, method: str, path: str) -> None:
    body = BODIES.get(_route(method, path), [None])[0]
    for caller, status in EXPECTED[method, path].items():
        ids = await target.fresh("active" if path.endswith(ACTIVE) else "completed")
        if path.endswith(("/repair", "/retract")) or (
            method == "DELETE" and path.endswith("{item_id}")
        ):  # not while the agent is at work
            target.sql("delete from runs where session_id = %s", ids["session_id"])
        before = target.rows()
        response = await target.send(caller, method, path, body, ids)
        assert response.status_code == status, (caller, response.text)
        assert (target.rows() == before) == (status >= 400 or method == "GET"), caller
        if status >= 400:
            assert_problem(response, status)


@pytest.mark.slow
@each_route
async def test_strangers_cannot_tell_what_exists(target: Target, method: str, path: str) -> None:
    for status in ("active", "completed"):
        ids = await target.fresh(status)
        absent = {**ids, "config_id": str(uuid.uuid4()), "session_id": (unknown := str(uuid.uuid4()))}
        absent["conversation_id"] = f"conv_{unknown}"
        before = target.rows()
        for caller in (*STRANGERS, "nobody"):
            for body in BODIES.get(_route(method, path), [None]):
                for user_id in ("guest", caller) if "{user_id}" in path else ("guest",):
                    real = await target.send(caller, method, path, body, {**ids, "user_id": user_id})
                    unreal = await target.send(caller, method, path, body, {**absent, "user_id": user_id})
                    assert _document(real, ids) == _document(unreal, absent), caller
                    assert real.status_code == (401 if caller == "nobody" else 404), (caller, real.text)
        assert target.rows() == before


async def test_route_that_the_table_lacks_is_named() -> None:
    class Body(msgspec.Struct):
        session_id: str | None = None

    @post("/elsewhere")
    async def by_body(data: JSONBody[Body]) -> None: ...

    @get("/elsewhere/{config_id:str}/more")
    async def by_path(config_id: FromPath[str]) -> None: ...

    @get("/elsewhere")
    async def by_query(session_id: FromQuery[str]) -> None: ...

    @get("/elsewhere/{user_id:str}")
    async def of_no_session(user_id: FromPath[str]) -> None: ...

    difference = _difference(Litestar([by_body, by_path, by_query, of_no_session], openapi_config=None))
    for route in ("POST /elsewhere", "GET /elsewhere/{config_id}/more", "GET /elsewhere"):
        assert f"{route}: add a line to TABLE" in difference
    assert "/elsewhere/{user_id}" not in difference
    assert "POST /sessions/{session_id}/resume: no such route" in difference, "what is gone is named, too"


def _difference(app: Litestar) -> str:
    """Lists the routes on which the table and the application disagree."""
    known, real = {_route(*key) for key in EXPECTED}, set(_routes(app))
    lines = [
        f"{route}: add a line to TABLE in {__name__} (and a body to BODIES)"
        for route in sorted(real - known - {*FILTERED, *GOING_ON})
    ]
    lines += [f"{route}: no such route any more: remove it from {__name__}" for route in sorted(known - real)]
    lines += [f"{route}: a body for a route that is not in TABLE" for route in sorted(BODIES.keys() - known)]
    return "\n".join(lines)


def _routes(app: Litestar) -> Iterable[str]:
    """The routes that take a session or config: in the path, as a parameter or in the body."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                if _names(handler, route) & {"session_id", "config_id", "conversation_id"}:
                    yield from (f"{method} {route.path_format}" for method in handler.http_methods - {"OPTIONS"})


def _type(method: str, path: str) -> str:
    return f"application/{'merge-patch+' if (method, path) == ('PATCH', '/configs/{config_id}') else ''}json"


def _names(handler: HTTPRouteHandler, route: HTTPRoute) -> set[str]:
    field = handler.parsed_data_field
    body = getattr(field.annotation, "__struct_fields__", ()) if field else ()
    return {*route.path_parameters, *handler.parsed_fn_signature.parameters, *body}


def _route(method: str, path: str) -> str:
    return f"{method} {path.partition('?')[0]}"


def _filled(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _document(response: httpx.Response, ids: dict[str, str]) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer, without the ids that the client itself sent."""
    content = response.content
    for name in ("config_id", "session_id"):
        content = content.replace(ids[name].encode(), b"ID")
    return response.status_code, sorted(response.headers.items()), content
