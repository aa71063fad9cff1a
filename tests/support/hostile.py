"""The write routes with a good body of each, and a client that sends them other bodies."""

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

JSON = {"Content-Type": "application/json"}
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
TEXT = "§"  # in a good body: a place within a string
VALUE = '"@"'  # in a good body: a place for any JSON
ROUTES = {  # each write route, and a body that it accepts; a second body of a path has a slash at the end
    "POST /configs": """{"name": "a§", "description": "a§", "tags": {"a§": "a§"}, "config_data": {"bundle":
        {"name": "a§"}, "spawn": {"tools": ["a§"]}, "x": "@", "a§": {"a§": ["a§"]}}, "session": {"a§": "a§", "x": "@"},
        "includes": [{"bundle": "a§"}], "tools": [{"module": "a§"}], "providers": [{"module": "a§"}]}""",
    "PUT /configs/{config_id}": """{"name": "a§", "description": "a§", "tags": {"a§": "a§"},
        "config_data": {"bundle": {"name": "a§"}, "x": "@", "a§": {"a§": ["a§"]}}}""",
    "PUT /configs/{config_id}/": """{"session": {"a§": "a§", "x": "@"}, "includes": [{"bundle": "a§"}],
        "tools": [{"module": "a§", "x": "@"}], "providers": [{"module": "a§", "x": "@"}]}""",
    "PATCH /configs/{config_id}": """{"name": "a§", "description": "a§", "tags": {"a§": "a§", "b": null},
        "config_data": {"bundle": {"name": "a§"}, "x": "@", "a§": {"a§": ["a§"]}}}""",
    "POST /sessions": """{"config_id": "{config_id}§", "external_id": "new§", "title": "a§", "tags": {"a§": "a§"},
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "PUT /sessions/by-key/mine": """{"config_id": "{config_id}§", "title": "a§", "tags": {"a§": "a§"},
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "PATCH /sessions/{session_id}": """{"title": "a§", "tags": {"a§": "a§"}, "status": "active§",
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "PATCH /sessions/{session_id}/": """{"title": "a§", "tags": {"a§": "a§", "b": null}, "status": "active§",
        "metadata": {"a§": "a§", "x": ["@", {"a§": "a§"}]}}""",
    "PATCH /sessions/{session_id}/state": """{"session": {"a§": "a§", "x": "@"}, "user": {"a§": ["a§", "@"]},
        "application": {"a§": {"a§": "a§", "b": null}}, "versions": {"session": 0}}""",
    "PATCH /state": """{"user": {"a§": "a§", "x": "@"}, "application": {"a§": ["a§", "@"]}}""",
    "POST /sessions/{session_id}/transcript": """{"messages": [{"role": "user", "content": "hi"},
        {"role": "user§", "content": [{"type": "a§", "x": "@"}], "a§": "a§"}]}""",
    "POST /sessions/{session_id}/transcript/retract": """{"seqs": [1], "erase": false}""",
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
    "POST /v1/conversations": """{"items": [{"type": "message", "role": "user", "content": "a§", "x": "@"}],
        "metadata": {"a§": "a§"}, "config_id": "{config_id}§"}""",
    "POST /v1/conversations/{conversation_id}": """{"metadata": {"a§": "a§"}}""",
    "POST /v1/conversations/{conversation_id}/items": """{"items": [{"type": "message", "role": "user",
        "content": [{"type": "input_text", "text": "a§"}], "a§": "@"}]}""",
    "POST /v1/responses": """{"conversation": {"id": "{conversation_id}§"}, "model": "{config_id}§", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a§"}]}], "metadata": {"a§": "a§"}}""",
    "PUT /settings/a-key": """{"value": {"a§": ["a§", "@"]}, "scope": "a§"}""",
}
# the status of a good body that is refused: the config cannot be run, the question does not exist
UNUSUAL = {
    "POST /sessions/{session_id}/messages": (400,),
    "POST /sessions/{session_id}/approvals/none": (404,),
}
MERGED = {"PATCH /configs/{config_id}", "PATCH /sessions/{session_id}/"}  # sent as merge patches
OPTIONAL = {"POST /sessions", "PUT /sessions/by-key/mine", "POST /v1/conversations"}  # whose body may be absent
# the routes with messages, in which characters that no text has are allowed
WITH_MESSAGES = {
    "POST /sessions/{session_id}/transcript",
    "POST /v1/conversations",
    "POST /v1/conversations/{conversation_id}/items",
}
# the routes that ignore unknown fields
LENIENT = {
    *("POST /configs", "PUT /configs/{config_id}", "PUT /configs/{config_id}/", "POST /sessions", "POST /applications"),
    "PUT /sessions/by-key/mine",
    *("POST /sessions/{session_id}/messages", "POST /sessions/{session_id}/stream"),
}
SAMPLE = {"POST /configs", "POST /sessions", "POST /sessions/{session_id}/transcript", "PUT /settings/a-key"}


def each(routes: Iterable[str]) -> Any:
    """Parametrizes a test by route; all but a sample are slow."""
    parameters = [pytest.param(route, marks=() if route in SAMPLE else pytest.mark.slow) for route in routes]
    return pytest.mark.parametrize("route", parameters)


each_route = each(ROUTES)


class Target:
    """A client that may do everything, and the contents of the database."""

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

    async def send(self, route: str, body: Any = None, headers: Any = None) -> httpx.Response:
        method, url = self.fill(route).split(" ", 1)
        if headers is None:
            headers = MERGE_PATCH if route in MERGED else JSON
        content = body.encode("utf-8", "surrogateescape") if isinstance(body, str) else body
        return await self.client.request(method, url, content=content, headers=headers)

    def refused(self, response: httpx.Response, *statuses: int) -> str:
        """Returns the detail of a problem with one of the statuses."""
        named = response.url.path.endswith(("/invitations/accept", "/approvals/none"))
        expected = statuses or ((404, 422) if named else (422,))
        if "\ufffd" in unquote(response.url.raw_path.decode()):  # not UTF-8, on any route
            expected = (400,)
        assert response.status_code in expected, (str(response.url)[:100], response.text[:500])
        assert response.headers["x-request-id"]
        return str(assert_problem(response, response.status_code)["detail"])


@pytest.fixture
async def target(api: Api, sql: Callable[..., list[Any]]) -> Target:
    """A client of an admin application, with a config, a session with a participant, and an invitation."""
    client = await api.as_user("alice", "admin")
    config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
    session_id = (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    await client.post(f"/sessions/{session_id}/participants", json={"user_id": "dave", "role": "viewer"})
    token = (await client.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})).json()["token"]
    await api.register("other")
    await api.app.state.activity.flush()  # later it would change what is stored
    ids = {"config_id": config_id, "session_id": session_id, "conversation_id": f"conv_{session_id}", "token": token}
    return Target(client, sql, ids)
