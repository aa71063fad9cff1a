"""A shared session under load: random calls of its participants, and a replay of the log that checks their rights."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import httpx

from tests.conftest import CONFIG, Api

Sql = Callable[..., list[Any]]
PEOPLE = ["alice", "bob", "carol", "dave", "erin", "frank", "grace"]
ROLES = ["viewer", "editor", "owner"]
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
LOG = """select seq, type, actor_user_id, data from session_events union all
    select seq, 'message', author_user_id, '{}' from messages order by seq"""
MESSAGE = {"messages": [{"role": "user"}]}
Done = Counter[tuple[str, str]]  # type of event, or `message`, and its actor


class Shared(NamedTuple):
    """A session of alice, and clients of all users through two applications, in place of two processes."""

    one: Api
    sql: Sql
    clients: dict[str, list[httpx.AsyncClient]]
    config_id: str = ""
    session_id: str = ""

    async def call(self, user_id: str, app: int, method: str, path: str, body: Any = None) -> httpx.Response:
        return await self.clients[user_id][app].request(method, f"/sessions/{self.session_id}{path}", json=body)

    async def append(self, user_id: str, app: int) -> httpx.Response:
        return await self.call(user_id, app, "POST", "/transcript", MESSAGE)

    async def remove(self, user_id: str, app: int) -> httpx.Response:
        return await self.call("alice", app, "DELETE", f"/participants/{user_id}")

    async def add(self, role: str, *user_ids: str, actor: str = "alice") -> None:
        for user_id in user_ids:
            body = {"user_id": user_id, "role": role}
            assert (await self.call(actor, 0, "POST", "/participants", body)).status_code == 201

    async def renewed(self) -> "Shared":
        """Returns the same users with a new config and session."""
        alice = self.clients["alice"][0]
        config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        return self._replace(config_id=config_id, session_id=session_id)

    async def until_waiting(self, count: int) -> None:
        """Waits until `count` statements wait for a lock."""
        async with asyncio.timeout(10):
            while self.sql(WAITING) != [(count,)]:
                self.sql("select pg_stat_clear_snapshot()")  # within a transaction it would not change
                await asyncio.sleep(0.01)

    async def queued(self, *calls: Coroutine[Any, Any, httpx.Response]) -> list[int]:
        """Makes calls that wait in this order while a DBA holds the session's row. Returns their statuses."""
        self.sql("begin; select from sessions for update")
        tasks = []
        for call in calls:
            tasks.append(asyncio.create_task(call))
            await self.until_waiting(len(tasks))
        self.sql("commit")
        return [answer.status_code for answer in await asyncio.gather(*tasks)]


async def change(shared: Shared, dice: random.Random, done: Done, statuses: Counter[int]) -> None:
    """Makes a random call, or an invitation that two users accept at once. Counts the acknowledged calls."""
    actor, other, app = dice.choice(PEOPLE), dice.choice(PEOPLE), dice.randrange(2)
    rights = {"permissions": {dice.choice(["invite", "send"]): dice.random() < 0.7}}
    role = {"role": dice.choice([*ROLES, "owner", "owner"])}  # otherwise few participants would soon have any right
    calls: list[tuple[str, str, str, Any]] = [
        ("participant.added", "POST", "/participants", {"user_id": other} | role | dice.choice([rights, {}])),
        ("participant.changed", "PATCH", f"/participants/{other}", dice.choice([role, rights])),
        ("participant.removed", "DELETE", f"/participants/{dice.choice([actor, other])}", None),
        (
            "ownership.transferred",
            "POST",
            "/transfer",
            {"user_id": dice.choice([one for one in PEOPLE if one != actor])},
        ),
        ("invitation.created", "POST", "/invitations", role | {"max_uses": 2}),
        ("message", "POST", "/transcript", MESSAGE),
    ]
    type_, *call = dice.choices(calls, [4, 3, 1, 1, 2, 3])[0]
    guests = dice.choices(PEOPLE[3:], k=2)
    answer = await shared.call(actor, app, *call)
    statuses[answer.status_code] += 1
    if answer.is_success and (not answer.content or answer.json().get("changed") != []):
        done["participant.changed" if (type_, answer.status_code) == ("participant.added", 200) else type_, actor] += 1
    if answer.is_success and type_ == "invitation.created":
        token = {"token": answer.json()["token"]}
        claims = [shared.clients[guest][n].post("/invitations/accept", json=token) for n, guest in enumerate(guests)]
        for guest, claim in zip(guests, await asyncio.gather(*claims), strict=True):
            statuses[claim.status_code] += 1
            done.update([("invitation.used", guest), ("participant.added", guest)] if claim.status_code == 201 else [])


def replay(events: list[Any]) -> dict[str, tuple[str, dict[str, bool]]]:
    """Returns the final role and permissions of each participant. Checks the right to each event, and its owners."""
    people: dict[str, tuple[str, dict[str, bool]]] = {"alice": ("owner", {})}
    joining = ""
    for _, type_, actor, data in events:
        role, permissions = people.get(actor, ("", {}))
        user_id, state = data.get("user_id", ""), (data.get("role", ""), data.get("permissions", {}))
        may_invite = permissions.get("invite", role == "owner") and state[0] in ROLES[: ROLES.index(role) + 1]
        rights = {
            "message": permissions.get("send", role in ("owner", "editor")),
            "invitation.created": may_invite,
            "invitation.used": not role,
            "participant.added": user_id not in people and (may_invite or user_id == actor == joining),
            "participant.changed": user_id in people and role == "owner",
            "participant.removed": user_id == actor or role == "owner",
            "ownership.transferred": role == "owner",
        }
        assert rights[type_], (type_, actor, data, people)
        if type_ in ("participant.added", "participant.changed"):
            people[user_id] = state
        elif type_ == "participant.removed":
            assert people.pop(user_id) == state
        elif type_ == "ownership.transferred":
            people[actor] = ("editor", permissions)
            people[user_id] = ("owner", people[user_id][1])
        joining = actor if type_ == "invitation.used" else ""
        assert "owner" in {role for role, _ in people.values()}
    return people
