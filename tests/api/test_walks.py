"""All pages of a list that is in use: in the order of creation every row is shown once, whatever happens meanwhile."""

import asyncio
import uuid

import httpx
import pytest

from tests.conftest import CONFIG

MANY, LIMIT = 40, 7
ROWS = {"/sessions": "sessions", "/users/me/sessions": "items", "/configs": "configs"}


async def touch(client: httpx.AsyncClient, path: str, name: str) -> None:
    """Changes a row, which moves it in the order of the last change."""
    if path == "/configs":
        answer = await client.put(f"/configs/{name}", json={"description": str(uuid.uuid4())})
    else:
        message = {"role": "user", "content": "needle"}
        answer = await client.post(f"/sessions/{name}/transcript", json={"messages": [message]})
    assert answer.is_success, answer.text


async def make(client: httpx.AsyncClient, path: str, config_id: str) -> str:
    """Creates a row and returns its id."""
    if path == "/configs":
        return str((await client.post("/configs", json=CONFIG)).json()["config_id"])
    return str((await client.post("/sessions", json={"config_id": config_id})).json()["session_id"])


async def walk(client: httpx.AsyncClient, path: str, query: str, made: list[str], config_id: str) -> list[str]:
    """The ids on all pages, by `Link`. Before each further page, rows on both sides of it change and others are added.

    What is not shown yet changes first: it would move to pages that were read already.
    """
    shown: list[str] = []
    url = f"{path}?limit={LIMIT}&{query}"
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        shown += [row["config_id" if path == "/configs" else "session_id"] for row in answer.json()[ROWS[path]]]
        url = answer.links.get("next", {}).get("url", "")
        later = [name for name in made if name not in shown][-3:]
        names = [*later, *made[:2], *([made[-1]] * 2)]
        await asyncio.gather(*(touch(client, path, name) for name in names), *[make(client, path, config_id)])
    return shown


@pytest.mark.slow
@pytest.mark.parametrize("path", ROWS)
@pytest.mark.parametrize("order", ["sort=created_at", "sort=created_at&order=desc", "sort=created_at&order=asc"])
async def test_order_of_creation_shows_every_row_once(
    alice: httpx.AsyncClient, config_id: str, path: str, order: str
) -> None:
    made = [await make(alice, path, config_id) for _ in range(MANY)]
    shown = await walk(alice, path, order, made, config_id)
    assert len(set(shown)) == len(shown)
    assert set(made) <= set(shown)
    told = [name for name in shown if name in made]
    assert told == (made if order.endswith("asc") else made[::-1])


async def test_order_of_the_last_change_does_not(alice: httpx.AsyncClient, config_id: str) -> None:
    """As docs/api.md says of it: this is why the other order is the one to read all pages in."""
    made = [await make(alice, "/sessions", config_id) for _ in range(MANY)]
    shown = await walk(alice, "/sessions", "sort=updated_at", made, config_id)
    assert not set(made) <= set(shown)
