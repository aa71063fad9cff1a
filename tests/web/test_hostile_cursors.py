"""Cursors that were tampered with or belong to another user: they show no row that the caller may not see."""

import base64
import json
import random
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import CONFIG, Api, assert_problem

Sql = Callable[..., list[Any]]
TRIES = [20, pytest.param(600, marks=pytest.mark.slow)]  # for each list
SIGNS = "-_=.AMZaz019\0\n%é+/ "
# A list, the parameter that its `next` goes into, the member of rows in its answer, and what of a row is its own.
LISTS = {
    "/configs?limit=1": ("cursor", "configs", "config_id"),
    "/sessions?limit=1": ("cursor", "sessions", "session_id"),
    "/sessions?limit=1&owned=true": ("after", "sessions", "session_id"),
    "/sessions?limit=1&q=needle": ("cursor", "sessions", "session_id"),
    "/users/me/sessions?limit=1": ("cursor", "items", "session_id"),
    "/search?limit=1&q=needle": ("cursor", "items", "session_id"),
    "/search?limit=1&q=needle&sort=recent": ("cursor", "items", "session_id"),
    "/sessions/{session_id}/search?limit=1&q=needle": ("cursor", "items", "session_id"),
    "/sessions/{session_id}/transcript?limit=1": ("after", "messages", "author_user_id"),
    "/sessions/{session_id}/participants?limit=1": ("cursor", "items", "user_id"),
    "/sessions/{session_id}/invitations?limit=1": ("cursor", "items", "created_by_user_id"),
}
each_list = pytest.mark.parametrize("path", LISTS)


class World(NamedTuple):
    """Three sessions of alice's and as many of bob's, alike, and all that is hers."""

    clients: dict[str, httpx.AsyncClient]
    hers: set[str]
    session_ids: dict[str, str]

    def path(self, path: str, user: str) -> str:
        return path.format(session_id=self.session_ids[user])

    async def cursor(self, path: str, user: str) -> str:
        """The `next` of the user's first page."""
        answer = await self.clients[user].get(self.path(path, user))
        assert answer.status_code == 200, answer.text
        assert answer.json()["next"] is not None
        return str(answer.json()["next"])

    async def only_hers(self, path: str, cursor: str) -> int:
        """Returns the status of alice's page after this cursor, and asserts that every row is hers."""
        parameter, member, key = LISTS[path]
        answer = await self.clients["alice"].get(f"{self.path(path, 'alice')}&{parameter}={quote(cursor)}")
        if answer.status_code == 200:
            assert {row[key] for row in answer.json()[member]} <= self.hers, cursor
        else:
            detail = assert_problem(answer, 422)["detail"]
            assert "bob" not in detail.replace(cursor, "")
        return answer.status_code


@pytest.fixture
async def world(api: Api) -> World:
    clients = {user: await api.as_user(user) for user in ("alice", "bob")}
    hers, session_ids = {"alice", "guest-alice", "other-alice"}, {}
    for _ in range(3):
        for user, client in clients.items():
            config_id = (await client.post("/configs", json=CONFIG)).json()["config_id"]
            body = {"config_id": config_id, "title": "needle"}
            session_id = session_ids[user] = (await client.post("/sessions", json=body)).json()["session_id"]
            messages = [{"role": "user", "content": "a needle"}, {"role": "assistant", "content": "another needle"}]
            await client.post(f"/sessions/{session_id}/transcript", json={"messages": messages})
            for guest in (f"guest-{user}", f"other-{user}"):
                await client.post(f"/sessions/{session_id}/participants", json={"user_id": guest, "role": "viewer"})
            for _ in range(2):
                await client.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})
            hers |= {config_id, session_id} if user == "alice" else set()
    return World(clients, hers, session_ids)


def mutated(cursor: str, dice: random.Random) -> str:
    """The cursor with some signs exchanged, taken away or added; half the time within what it encodes, if it does."""
    text, encoded = cursor, False
    if dice.random() < 0.5:
        try:
            text, encoded = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode(), True
        except ValueError:
            encoded = False
    signs = list(text)
    for place in dice.choices(range(len(signs)), k=dice.randint(1, 3)):
        signs[place : place + dice.randint(0, 2)] = dice.choices(SIGNS + '"[],{}', k=dice.randint(0, 2))
    text = "".join(signs)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") if encoded else text


def forged(cursor: str) -> list[str]:
    """Other positions, in the form of the cursor where it has one."""
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return [
            "0",
            "1",
            "-1",
            str(2**63 - 1),
            str(2**63),
            "1e3",
            "true",
            "null",
            "bob",
            "'",
            '"',
            "%",
            "guest-bob",
            "\U0010ffff",
        ]
    forgeries: list[Any] = [None, [], {}, 1, "x", [value], [*value, 1], value[:-1], value[::-1], {"0": value}]
    for moment in (
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "2999-01-01T00:00:00+14:00",
        "infinity",
        None,
    ):
        for identifier in ("", "x" * 255, "x" * 256, "\0", "' or 1=1", "\ud800", None, 1):
            forgeries += [[moment, identifier], [value[0], [moment, 1.0, moment, identifier, 0]]]
    for number in (-1, 2**63, 1e308, float("inf"), float("nan"), 0.5, True):
        forgeries.append([value[0], [*value[1][:-1], number] if isinstance(value[1], list) else number])
        forgeries.append([value[0], [value[1][0], number, *value[1][2:]] if isinstance(value[1], list) else number])
    texts = [json.dumps(one).encode() for one in forgeries]
    return [base64.urlsafe_b64encode(text).decode().rstrip("=") for text in texts]


@each_list
@pytest.mark.parametrize("tries", TRIES)
async def test_tampered_cursor_shows_no_rows_of_others(world: World, path: str, tries: int) -> None:
    dice, cursor = random.Random(path), await world.cursor(path, "alice")
    statuses = {await world.only_hers(path, mutated(cursor, dice)) for _ in range(tries)}
    statuses |= {await world.only_hers(path, one) for one in forged(cursor)}
    assert 422 in statuses or "participants" in path, "the user_id of a page's end may be any text"
    assert await world.only_hers(path, cursor) == 200


@each_list
async def test_cursor_of_another_user_shows_no_rows_of_theirs(world: World, path: str) -> None:
    for other in LISTS:
        assert await world.only_hers(path, await world.cursor(other, "bob")) in (200, 422)
    own = 422 if path.startswith("/sessions/{session_id}/search") else 200  # it belongs to the search in that session
    assert await world.only_hers(path, await world.cursor(path, "bob")) == own, "a cursor is a place and no right"


@pytest.mark.parametrize("path", [path for path in LISTS if "{session_id}" in path and "q=" not in path])
async def test_cursor_grants_stranger_no_access(world: World, path: str) -> None:
    url = f"{world.path(path, 'alice')}&{LISTS[path][0]}={quote(await world.cursor(path, 'alice'))}"
    absent = url.replace(world.session_ids["alice"], "0" * 36)
    answers = [await world.clients["bob"].get(one) for one in (url, absent)]
    assert_problem(answers[0], 404, "Session not found")
    assert answers[0].content == answers[1].content
