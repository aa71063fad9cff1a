"""Concurrent calls of several users through two processes: the log has the acknowledged calls, in a valid order."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import CONFIG
from tests.end_to_end.test_model import EXAMPLES
from tests.support.pair import Pair, pair
from tests.support.sharing import LOG, replay

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]
Sql = Callable[..., list[Any]]
ROLES = {"alice": "owner", "bob": "owner", "carol": "owner", "dave": "editor", "erin": "editor", "frank": "viewer"}
STEPS = 60
MESSAGES = "select seq, message, author_user_id from messages order by seq"


class Seen(NamedTuple):
    """The session's last number in a response, and the times of the request and the response."""

    sent: float
    answered: float
    first: int
    last: int


class Person:
    """A user who makes random calls, one after the other, through either process."""

    def __init__(self, name: str, clients: list[httpx.AsyncClient], session_id: str, dice: random.Random) -> None:
        self.name, self.clients, self.dice, self.path = name, clients, dice, f"/sessions/{session_id}"
        self.said: list[tuple[Seen, list[Any]]] = []  # appends that were acknowledged, with their messages
        self.changed: list[Seen] = []
        self.read: list[tuple[Seen, list[Any]]] = []
        self.statuses: Counter[int] = Counter()
        self.known = 0  # the last number that this person heard of

    async def act(self) -> None:
        """Makes all calls of this user."""
        actions = [self.append] * 5 + [self.read_all] * 2 + [self.change_role] * 2 + [self.leave, self.rename]
        for _ in range(STEPS):
            await self.dice.choice(actions)()

    async def append(self) -> None:
        number = sum(len(messages) for _, messages in self.said)
        messages = [
            {"role": "user", "by": self.name, "n": number + place} for place in range(self.dice.choice([1, 1, 3]))
        ]
        body: dict[str, Any] = {"messages": messages}
        if self.dice.random() < 0.3:
            body["expected_seq"] = self.known
        answer, sent = await self._call("POST", "/transcript", body)
        if answer.status_code == 201:
            seen = self._seen(answer, sent, answer.json()["first_seq"])
            assert seen.first == body.get("expected_seq", seen.first - 1) + 1
            assert seen.last - seen.first == len(messages) - 1
            self.said.append((seen, messages))
        elif answer.status_code == 412:
            self.known = answer.json()["last_seq"]
            assert self.known != body["expected_seq"]

    async def read_all(self) -> None:
        answer, sent = await self._call("GET", "/transcript?limit=1000")
        if answer.status_code == 200:
            rows = [(row["seq"], row["message"], row["author_user_id"]) for row in answer.json()["messages"]]
            self.read.append((self._seen(answer, sent, answer.json()["last_seq"]), rows))

    async def change_role(self) -> None:
        """Changes a role, or adds the user if it is not a participant."""
        body = {"user_id": self.dice.choice([*ROLES]), "role": self.dice.choice(["viewer", "editor", "owner", "owner"])}
        await self._call("POST", "/participants", body)

    async def leave(self) -> None:
        await self._call("DELETE", f"/participants/{self.dice.choice([self.name, *ROLES])}")

    async def rename(self) -> None:
        answer, sent = await self._call("PATCH", "", {"title": f"{self.name} {self.dice.random()}"})
        if answer.status_code == 200:
            self.changed.append(self._seen(answer, sent, answer.json()["last_seq"]))

    async def _call(self, method: str, path: str, body: Any = None) -> tuple[httpx.Response, float]:
        sent = time.monotonic()
        answer = await self.dice.choice(self.clients).request(method, self.path + path, json=body)
        assert answer.status_code in (200, 201, 204, 403, 404, 409, 412), answer.text
        self.statuses[answer.status_code] += 1
        return answer, sent

    def _seen(self, answer: httpx.Response, sent: float, first: int) -> Seen:
        self.known = answer.json()["last_seq"]
        return Seen(sent, time.monotonic(), first, self.known)


async def everybody(both: Pair, seed: int) -> list[Person]:
    """Lets all users call concurrently in one session and returns them."""
    dice = random.Random(seed)
    clients = {
        name: [httpx.AsyncClient(base_url=url, headers=both.headers(name), timeout=30) for url in both.urls]
        for name in ROLES
    }
    alice = clients["alice"][0]
    config_id = (await alice.post("/configs", json=CONFIG)).json()["config_id"]
    session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
    for name, role in ROLES.items():
        body = {"user_id": name, "role": role}
        assert (await alice.post(f"/sessions/{session_id}/participants", json=body)).status_code in (200, 201, 409)
    persons = [Person(name, clients[name], session_id, random.Random(dice.random())) for name in ROLES]
    await asyncio.gather(*(person.act() for person in persons))
    for client in itertools.chain(*clients.values()):
        await client.aclose()
    return persons


@pytest.mark.parametrize("seed", range(20 if EXAMPLES else 3))
async def test_history_matches_acknowledged_calls(dsn: str, sql: Sql, seed: int) -> None:
    with pair(dsn) as both:
        persons = await everybody(both, seed)
    stored, log = sql(MESSAGES), sql(LOG)
    assert [seq for seq, *_ in log] == list(range(1, len(log) + 1))
    assert sql("select last_seq from sessions") == [(len(log),)]
    people = replay([row for row in log if row[1] != "session.updated"])  # raises if an actor had no right to a call
    assert sql("select user_id, role from session_participants order by 1") == sorted(
        (user_id, role) for user_id, (role, _) in people.items()
    )
    acknowledged = [
        (seen.first + place, message, person.name)
        for person in persons
        for seen, messages in person.said
        for place, message in enumerate(messages)
    ]
    assert sorted(acknowledged, key=lambda row: row[0]) == stored, "no less, no more, at the numbers that were told"
    for person in persons:
        numbers = [message["n"] for _, message, author in stored if author == person.name]
        assert numbers == list(range(len(numbers))), "each person's messages stand in the order they were said in"
        for seen, rows in person.read:
            assert rows == [row for row in stored if row[0] <= seen.last], "who reads sees all up to one moment"
    told = [one for person in persons for one in (*(seen for seen, _ in person.said), *person.changed)]
    read = [seen for person in persons for seen, _ in person.read]
    for later in (*told, *read):
        before = max((one.last for one in told if one.answered < later.sent), default=0)
        assert before < later.first + (later in read), "the clock goes on from what anybody was told before"
    statuses = sum((person.statuses for person in persons), Counter())
    assert min(statuses[status] for status in (200, 201, 403, 404, 412)) > 0, statuses
