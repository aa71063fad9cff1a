"""X-User-ID: applications with `act_as` act for users without their tokens, and have no other rights than these."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem, serving, settings_for, token

FORM = (
    "Name the user in X-User-ID: one user id, UTF-8 text of 1 to 255 characters without control characters, which is "
    "not . or .. and does not have them between slashes"
)
NOT_ALLOWED = (
    "The application may not act for the user in X-User-ID: send the user's token as Authorization: Bearer <token>, or "
    "let an admin application set act_as by PATCH /applications/{app_id}"
)
MISSING = "Missing or invalid Authorization header (expected: Bearer <token>)"
Sql = Callable[..., list[Any]]


@pytest.fixture
async def admin(api: Api) -> httpx.AsyncClient:
    """A client of an admin application, which has made the application desk, with act_as."""
    admin = await api.as_user("root", "admin")
    made = await admin.post("/applications", json={"app_id": "desk", "app_name": "Desk", "act_as": True})
    api.keys["desk"] = made.json()["api_key"]
    return admin


def acting(api: Api, *users: str | bytes, app_id: str = "desk", **headers: str) -> httpx.AsyncClient:
    """A client of an application that names a user, or several, without a token."""
    client = api.client({"X-API-Key": api.keys[app_id], **headers})
    named = [(b"X-User-ID", user_id if isinstance(user_id, bytes) else user_id.encode()) for user_id in users]
    client.headers = httpx.Headers([*client.headers.raw, *named])
    return client


async def test_application_acts_for_the_user_it_names(api: Api, admin: httpx.AsyncClient) -> None:
    mia, noor = acting(api, "mia"), acting(api, "noor")
    config = (await mia.post("/configs", json=CONFIG)).json()["config_id"]
    session = (await mia.post("/sessions", json={"config_id": config})).json()["session_id"]
    assert (await mia.get("/users/me")).json()["user_id"] == "mia"
    assert_problem(await noor.get(f"/sessions/{session}"), 404)
    by_token = api.client({"X-API-Key": api.keys["desk"], "Authorization": f"Bearer {token(sub='mia')}"})
    assert (await by_token.get(f"/sessions/{session}")).status_code == 200
    assert (await acting(api, "zoë|50%").get("/users/me")).json()["user_id"] == "zoë|50%"


async def test_header_is_refused_without_the_permission(api: Api, admin: httpx.AsyncClient) -> None:
    await api.register("app")
    assert_problem(await acting(api, "mia", app_id="app").get("/users/me"), 401, NOT_ALLOWED)
    assert (await admin.patch("/applications/app", json={"act_as": True})).json()["act_as"] is True
    assert (await acting(api, "mia", app_id="app").get("/users/me")).status_code == 200
    assert (await admin.patch("/applications/app", json={"act_as": False})).json()["changed"] == ["act_as"]
    assert_problem(await acting(api, "mia", app_id="app").get("/users/me"), 401, NOT_ALLOWED)
    assert_problem(await api.client({"X-User-ID": "mia"}).get("/users/me"), 401, "Missing X-API-Key header")
    wrong = api.client({"X-User-ID": "mia", "X-API-Key": "app_0123456789abcdef_" + "x" * 43})
    assert_problem(await wrong.get("/users/me"), 401, "Invalid API key")
    assert_problem(await api.client({"X-API-Key": api.keys["desk"]}).get("/users/me"), 401, MISSING)


async def test_token_and_header_must_agree(api: Api, admin: httpx.AsyncClient) -> None:
    await api.register("app")
    for app_id in ("desk", "app"):
        for user_id, status in (("mia", 200), ("noor", 401)):
            client = acting(api, user_id, app_id=app_id, Authorization=f"Bearer {token(sub='mia')}")
            assert (await client.get("/users/me")).status_code == status
    assert_problem(await acting(api, "mia", Authorization="Bearer x.y").get("/users/me"), 401)


@pytest.mark.parametrize("user_id", [b"", b"x" * 256, b"\xff", b"a\x01b", b"a\x7f", b".", b"a/../b", b"\xed\xa0\x80"])
async def test_what_is_no_user_id_is_refused(api: Api, admin: httpx.AsyncClient, user_id: bytes) -> None:
    assert_problem(await acting(api, user_id).get("/users/me"), 401, FORM)
    assert_problem(await acting(api, "mia", user_id).get("/users/me"), 401, FORM)


async def test_acting_application_has_the_rights_of_the_user_only(api: Api, admin: httpx.AsyncClient) -> None:
    await admin.patch("/applications/admin", json={"act_as": True, "key_managers": ["mia"]})
    mia = acting(api, "mia", app_id="admin")
    assert_problem(await mia.get("/audit"), 403, "Only admin applications may do this")
    assert_problem(await mia.get("/applications/desk"), 404)
    refusal = "Keys are managed with a token of the key manager, not with X-User-ID"
    for method, path in (("GET", "/keys"), ("POST", "/regenerate-key"), ("DELETE", "/keys/x")):
        assert_problem(await mia.request(method, f"/applications/admin{path}"), 403, refusal)


async def test_audit_log_says_so(api: Api, admin: httpx.AsyncClient, sql: Sql) -> None:
    headers = {"X-API-Key": api.keys["desk"], "Authorization": f"Bearer {token(sub='mia')}"}
    for client in (acting(api, "mia"), api.client(headers)):
        await client.post("/configs", json=CONFIG)
    found = "select user_id, app_id, details -> 'acted_as' from audit_log where action = 'create_config' order by 1, 3"
    assert sql(found) == [("mia", "desk", True), ("mia", "desk", None)]
    [(details,)] = sql("select details from audit_log where action = 'create_application'")
    assert details["act_as"] is True


async def test_rate_limit_counts_for_the_user(dsn: str) -> None:
    async with serving(settings_for(dsn, rate_limit_requests_per_minute=2)) as api:
        await api.register("desk")
        await api.app.state.queries.applications.update(
            app_id="desk", app_name=None, is_active=None, settings=None, key_managers=None, act_as=True
        )
        statuses = [(await acting(api, user).get("/users/me")).status_code for user in ("mia", "mia", "mia", "noor")]
        assert statuses == [200, 200, 429, 200]


async def test_ticket_ends_with_the_permission(api: Api, admin: httpx.AsyncClient) -> None:
    ticket = (await acting(api, "mia").post("/events/ticket")).json()["ticket"]
    await admin.patch("/applications/desk", json={"act_as": False})
    assert_problem(await api.client().get(f"/events?ticket={ticket}"), 401)


async def test_mode_without_keys_refuses_the_header(dsn: str) -> None:
    async with serving(settings_for(dsn, auth_mode="jwt_only")) as api:
        refused = await api.client({"X-User-ID": "mia"}).get("/users/me")
        assert_problem(
            refused, 401, "X-User-ID needs the key of an application, which AUTH_MODE=jwt_only does not take"
        )


@pytest.fixture
async def open_api(dsn: str) -> AsyncIterator[Api]:
    """The application with authentication off."""
    async with serving(settings_for(dsn, auth_required=False, allowed_origins="https://page.example")) as api:
        yield api


def named(api: Api, user_id: str | bytes) -> httpx.AsyncClient:
    """A client that names its user and has no credentials."""
    client = api.client()
    value = user_id if isinstance(user_id, bytes) else user_id.encode()
    client.headers = httpx.Headers([*client.headers.raw, (b"X-User-ID", value)])
    return client


async def test_header_names_the_user_without_authentication(open_api: Api) -> None:
    mia, noor = named(open_api, "mia"), named(open_api, "zoë")
    session = (await mia.post("/sessions", json={})).json()["session_id"]
    for client, user_id in ((mia, "mia"), (noor, "zoë"), (open_api.client(), "dev-user")):
        me = (await client.get("/users/me")).json()
        assert (me["user_id"], me["app_id"], me["is_admin"]) == (user_id, "dev-app", True)
    assert_problem(await noor.get(f"/sessions/{session}"), 404)
    assert_problem(await open_api.client().get(f"/sessions/{session}"), 404)
    invited = await mia.post(f"/sessions/{session}/participants", json={"user_id": "zoë", "role": "viewer"})
    assert invited.status_code == 201, invited.text
    assert (await noor.get(f"/sessions/{session}")).json()["role"] == "viewer"
    assert_problem(await named(open_api, b"\xff").get("/users/me"), 401, FORM)


async def test_stream_is_of_the_named_user_without_authentication(open_api: Api) -> None:
    session = (await named(open_api, "mia").post("/sessions", json={})).json()["session_id"]
    stream = f"/sessions/{session}/events"
    assert_problem(await named(open_api, "noor").get(stream), 404)
    assert (await named(open_api, "mia").head(stream)).status_code == 200
    ticket = (await named(open_api, "mia").post(f"{stream}/ticket")).json()["ticket"]
    assert (await open_api.client().head(f"{stream}?ticket={ticket}")).status_code == 200


async def test_pages_of_other_origins_may_not_name_users(open_api: Api) -> None:
    asked = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "x-user-id"}
    for origin in ("https://page.example", "https://evil.example"):
        answer = await open_api.client({"Origin": origin, **asked}).options("/users/me")
        assert "x-user-id" not in answer.headers.get("access-control-allow-headers", "").lower()
