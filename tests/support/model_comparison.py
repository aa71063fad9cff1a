"""Calls a pair of processes and compares each answer, and the sessions after it, with the model of sessions."""

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from hypothesis.stateful import RuleBasedStateMachine

from tests.support.model import Model, Session
from tests.support.model_inputs import PEOPLE, Caller
from tests.support.pair import Pair

Call = Callable[..., Any]
_runs = itertools.count()


class Comparison(RuleBasedStateMachine):
    """A machine without rules. Each run has users of its own, so that all runs share a database."""

    pair: Pair

    def __init__(self) -> None:
        super().__init__()
        self.model, self.turn, self.run = Model(), itertools.count(), next(_runs)
        self.seen: list[str] = []  # sessions to be compared after this rule
        self.configs: dict[str, str] = {}
        self.clients = [httpx.Client(base_url=url, timeout=30) for url in self.pair.urls]
        self.headers = {name: self.pair.headers(self._id(name)) for name in PEOPLE}

    def teardown(self) -> None:
        for client in self.clients:
            client.close()

    def _compare(self, name: str, key: str, session: Session, process: bool) -> None:
        """Compares all that a user may see of a session with the model."""
        status = 200 if name in session.people else 404
        page = self._call(name, process, status, "GET", f"/sessions/{key}/transcript?limit=1000")
        listed = self._call(name, not process, status, "GET", f"/sessions/{key}/participants")
        if status == 200:
            assert (self._messages(page["messages"]), page["last_seq"]) == (session.messages, session.last_seq)
            fields = ("user_id", "role", "permissions", "last_read_seq")
            wanted = [(self._id(one), *part.shown) for one, part in sorted(session.people.items())]
            assert [tuple(row[field] for field in fields) for row in listed["items"]] == wanted
            owner = self._call(name, process, 200, "GET", f"/sessions/{key}")["owner_user_id"]
            assert owner == self._id(session.owner)

    def _see(self, key: str, caller: Caller) -> tuple[str, Call, Session]:
        """Returns the caller, a function that calls as this user, and the session, which is compared after the call."""
        self.seen.append(key)
        session = self.model.sessions[key]
        known = list(session.people) if caller[0] < 8 else []
        actor = (known or PEOPLE)[caller[0] % len(known or PEOPLE)]
        return actor, partial(self._call, actor, caller[1], under=f"/sessions/{key}"), session

    def _call(
        self, name: str, process: bool, status: int, method: str, path: str, body: Any = None, under: str = ""
    ) -> Any:
        answer = self.clients[process].request(method, under + path, json=body, headers=self.headers[name])
        assert answer.status_code == status, (name, method, path, body, answer.text)
        return answer.json() if answer.content else None

    def _messages(self, rows: list[Any]) -> list[Any]:
        return [(row["seq"], row["message"], row["author_user_id"].partition(".")[0]) for row in rows]

    def _id(self, name: str) -> str:
        return f"{name}.{self.run}"
