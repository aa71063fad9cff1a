"""Erasure and retention work among requests that change the same sessions: no deadlock, no session without an owner."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.errors import OperatorError
from amplifier.maintenance.operator_database import connected
from amplifier.maintenance.retention import Retention
from amplifier.maintenance.retention_rules import Rule
from amplifier.maintenance.user_erasure import Erasure
from tests.conftest import CONFIG, Api
from tests.support.old_sessions import places

Sql = Callable[..., list[Any]]
USERS = ("ann", "bob", "cem")
MESSAGES = {"messages": [{"role": "user", "content": "x"}]}


async def change(client: httpx.AsyncClient, sessions: list[str], config_id: str, chance: random.Random) -> int:
    """Makes a request that adds, removes, appends, transfers, forks or deletes. Returns its status."""
    session_id, other = chance.choice(sessions[-12:]), chance.choice(USERS)
    path, role = f"/sessions/{session_id}", chance.choice(["owner", "editor", "viewer"])
    kind = chance.randrange(9)
    if kind == 0:
        made = await client.post("/sessions", json={"config_id": config_id})
        sessions.append(made.json()["session_id"]) if made.status_code == 201 else None
        return made.status_code
    if kind == 1:
        return (await client.post(f"{path}/transfer", json={"user_id": other})).status_code
    if kind == 2:
        return (await client.delete(f"{path}/participants/{other}")).status_code
    if kind == 3:
        return (await client.delete(path)).status_code
    if kind in (4, 5):
        return (await client.post(f"{path}/participants", json={"user_id": other, "role": role})).status_code
    if kind == 6:
        return (await client.patch(path, json={"title": str(chance.random())})).status_code
    return (await client.post(f"{path}/transcript", json=MESSAGES)).status_code


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_requests_get_their_answers_meanwhile(api: Api, sql: Sql, dsn: str, seed: int) -> None:
    clients = [await api.as_user(user) for user in USERS]
    configs = [(await client.post("/configs", json=CONFIG)).json()["config_id"] for client in clients]
    sessions = [
        (await client.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        for client, config_id in zip(clients, configs, strict=True)
        for _ in range(4)
    ]
    statuses: Counter[int] = Counter()
    over = asyncio.Event()

    async def send(number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        while not over.is_set():
            client, config_id = clients[number % 3], configs[number % 3]
            statuses[await change(client, sessions, config_id, chance)] += 1

    failures: list[str] = []

    def erase() -> None:
        for _ in range(8):
            try:
                with connected(dsn) as connection:
                    Retention(connection, "hold").apply(Rule(older_than="1h"), [], lambda _: None)
                    Erasure(connection, "ann", "hold").apply(lambda *_: None)
            except OperatorError as error:
                failures.append(str(error))
            sql("""
                update sessions set updated_at = now() - interval '1 day'
                where session_id in (select session_id from sessions where random() < 0.05 for update skip locked)
            """)
            sql("""
                update session_participants set last_active_at = now() - interval '1 day'
                where (session_id, user_id) in (
                    select session_id, user_id from session_participants for update skip locked
                )
            """)

    async def erased() -> None:
        try:
            await asyncio.to_thread(erase)
        finally:
            over.set()

    await asyncio.gather(erased(), *map(send, range(6)))
    assert not [failure for failure in failures if "keeps sending" not in failure]
    assert not {status for status in statuses if status >= 500 and status != 503}, statuses
    assert statuses[503] <= 2, statuses
    assert {201, 404} <= set(statuses)
    await api.app.state.activity.flush()
    with connected(dsn) as connection:
        Erasure(connection, "ann", "hold").apply(lambda *_: None)
    assert places(sql, "ann") == []
    assert (
        sql("""
        select session_id from sessions as s
        where not exists (
            select from session_participants as p
            where p.session_id = s.session_id and p.user_id = s.owner_user_id and p.role = 'owner'
        )
    """)
        == []
    )
