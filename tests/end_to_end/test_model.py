"""Random calls of several users through two processes have the results that the model of sessions predicts."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run

from tests.conftest import CONFIG
from tests.support.model import Invitation, Session
from tests.support.model_comparison import Comparison
from tests.support.model_inputs import (
    PEOPLE,
    Caller,
    Rights,
    callers,
    changes,
    known,
    messages,
    people,
    rarely,
    rights,
    roles,
    words,
)
from tests.support.pair import pair

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))  # number of call sequences; 0: the same few each time


sessions, invitations = Bundle("sessions"), Bundle("invitations")


class Sharing(Comparison):
    """The calls of the users of one database."""

    @initialize(target=sessions, process=st.booleans(), role=roles, said=messages)
    def begin(self, process: bool, role: str, said: Any) -> str:
        """Creates two configs, and a session with three participants."""
        for name in PEOPLE[:2]:
            self.configs[name] = self._call(name, process, 201, "POST", "/configs", CONFIG)["config_id"]
        key = str(self.create("ana", True, process))
        self.put(key, (0, process), "ben", role, None)
        self.put(key, (0, process), "cleo", "viewer", None)
        self.append(key, (0, process), [said], 0)
        return key

    @rule(target=sessions, owner=st.sampled_from(PEOPLE[:2]), is_own=st.booleans(), process=st.booleans())
    def create(self, owner: str, is_own: bool, process: bool) -> Any:
        actor = owner if is_own else "dan"
        status = 201 if is_own and owner in self.configs else 404
        body = {"config_id": self.configs.get(owner, "gone")}
        answer = self._call(actor, process, status, "POST", "/sessions", body)
        if status != 201:
            return multiple()
        self.model.sessions[answer["session_id"]] = Session(self.model.clock, actor, owner)
        return answer["session_id"]

    @rule(key=sessions, caller=callers, said=st.lists(messages, min_size=1, max_size=3), ahead=st.integers(-3, 3))
    def append(self, key: str, caller: Caller, said: list[Any], ahead: int) -> None:
        actor, call, session = self._see(key, caller)
        before = session.last_seq
        expected = None if ahead > 1 else max(0, before + ahead)
        status = session.append(actor, said, expected)
        answer = call(status, "POST", "/transcript", {"messages": said, "expected_seq": expected})
        if status == 201:
            assert (answer["first_seq"], answer["last_seq"]) == (before + 1, session.last_seq)
        elif status == 412:
            assert answer["last_seq"] == session.last_seq
            assert self._messages(answer["missed"]) == session.behind(expected or 0)

    @rule(key=sessions, caller=callers, said=messages)
    def say(self, key: str, caller: Caller, said: Any) -> None:
        self.append(key, caller, [said], 2)

    @rule(key=sessions, caller=callers, after=st.integers(0, 9), limit=st.integers(0, 4), plain=st.booleans())
    def read_a_page(self, key: str, caller: Caller, after: int, limit: int, plain: bool) -> None:
        actor, call, session = self._see(key, caller)
        query = f"?after={after}" + (f"&limit={limit}" if limit else "") + ("&view=plain" if plain else "")
        status = 200 if actor in session.people else 404
        answer = call(status, "GET", f"/transcript{query}")
        wanted = session.behind(after, limit or None)
        if status == 200 and plain:
            assert answer == [one.message for one in wanted]
        elif status == 200:
            assert self._messages(answer["messages"]) == wanted
            assert answer["next"] == (wanted[-1].seq if wanted and session.behind(wanted[-1].seq) else None)

    @rule(key=sessions, caller=callers, changes=changes)
    def change(self, key: str, caller: Caller, changes: dict[str, str | None]) -> None:
        actor, call, session = self._see(key, caller)
        call(session.change(actor, changes), "PATCH", "", changes)

    @rule(key=sessions, caller=callers)
    def resume(self, key: str, caller: Caller) -> None:
        actor, call, session = self._see(key, caller)
        call(session.change(actor, {"status": "active"}), "POST", "/resume")

    @rule(key=sessions, caller=callers, really=rarely)
    def delete(self, key: str, caller: Caller, really: bool) -> None:
        if really:
            actor, call, session = self._see(key, caller)
            call(session.delete(actor), "DELETE", "")

    @rule(key=sessions, caller=callers, user=people)
    def transfer(self, key: str, caller: Caller, user: str) -> None:
        actor, call, session = self._see(key, caller)
        call(session.transfer(actor, user), "POST", "/transfer", {"user_id": self._id(user)})

    @rule(key=sessions, caller=callers, user=people, role=roles, given=rights)
    def put(self, key: str, caller: Caller, user: str, role: str, given: Rights) -> None:
        actor, call, session = self._see(key, caller)
        body = {"user_id": self._id(user)} | known(role=role, permissions=given)
        call(session.put(actor, user, role, given), "POST", "/participants", body)

    @rule(key=sessions, caller=callers, user=people, role=st.none() | roles, given=rights)
    def update(self, key: str, caller: Caller, user: str, role: str | None, given: Rights) -> None:
        actor, call, session = self._see(key, caller)
        status = session.update(actor, user, role, given)
        call(status, "PATCH", f"/participants/{self._id(user)}", known(role=role, permissions=given))

    @rule(key=sessions, caller=callers, user=people, leaves=st.booleans())
    def remove(self, key: str, caller: Caller, user: str, leaves: bool) -> None:
        actor, call, session = self._see(key, caller)
        user = actor if leaves else user
        call(session.remove(actor, user), "DELETE", f"/participants/{self._id(user)}")

    @rule(target=invitations, key=sessions, caller=callers, role=roles, uses=st.integers(1, 2))
    def invite(self, key: str, caller: Caller, role: str, uses: int) -> Any:
        actor, call, session = self._see(key, caller)
        made = session.invite(actor, role, uses)
        status = made if isinstance(made, int) else 201
        answer = call(status, "POST", "/invitations", {"role": role, "max_uses": uses})
        return multiple() if isinstance(made, int) else (key, answer["invitation_id"], answer["token"], made)

    @rule(invitation=invitations, actor=people, process=st.booleans())
    def accept(self, invitation: tuple[str, str, str, Invitation], actor: str, process: bool) -> None:
        key, _, text, made = invitation
        self.seen.append(key)
        status = self.model.sessions[key].accept(actor, made)
        self._call(actor, process, status, "POST", "/invitations/accept", {"token": text})

    @rule(invitation=invitations, caller=callers)
    def revoke(self, invitation: tuple[str, str, str, Invitation], caller: Caller) -> None:
        key, number, _, made = invitation
        actor, call, session = self._see(key, caller)
        call(session.revoke(actor, made), "DELETE", f"/invitations/{number}")

    @rule(key=sessions, user=people, role=roles, leaves=st.booleans(), process=st.booleans())
    def come_back(self, key: str, user: str, role: str, leaves: bool, process: bool) -> None:
        """Removes a participant, who then accepts an invitation that was made before."""
        session = self.model.sessions[key]
        if session.people:
            caller = ([*session.people].index(session.owner), process)
            invitation = self.invite(key, caller, role, 2)
            self.remove(
                key,
                ([*session.people].index(user), process) if leaves and user in session.people else caller,
                user,
                False,
            )
            if isinstance(invitation, tuple):
                self.accept(invitation, user, process)

    @rule(key=sessions, caller=callers, seq=st.integers(0, 12))
    def mark_read(self, key: str, caller: Caller, seq: int) -> None:
        actor, call, session = self._see(key, caller)
        call(session.read(actor, seq), "POST", "/read", {"seq": seq})

    @rule(actor=people, word=words, process=st.booleans())
    def search(self, actor: str, word: str, process: bool) -> None:
        found = self._call(actor, process, 200, "GET", f"/search?q={word}&sort=recent&limit=100")["items"]
        assert {(hit["session_id"], hit["seq"]) for hit in found} == self.model.saying(actor, word)

    @rule(actor=people, owner=st.sampled_from(PEOPLE[:2]), really=rarely, process=st.booleans(), force=st.booleans())
    def delete_config(self, actor: str, owner: str, really: bool, process: bool, force: bool) -> None:
        if really and owner in self.configs:
            status, gone = self.model.delete_config(owner, force) if actor == owner else (404, [])
            path = f"/configs/{self.configs[owner]}?force={str(force).lower()}"
            self._call(actor, process, status, "DELETE", path)
            if status == 200:
                del self.configs[owner]
                self.seen += gone

    @invariant()
    def everybody_sees_what_is_theirs(self) -> None:
        keys, self.seen = set(self.seen), []
        for number, name in enumerate(PEOPLE if keys else [], next(self.turn)):
            for key in keys:
                self._compare(name, key, self.model.sessions[key], number % 2 == 0)
            owned, mine = ("true", "false")[number % 2], self.model.of(name, number % 2 == 0)
            listed = self._call(name, number % 3 == 0, 200, "GET", f"/sessions?owned={owned}")
            assert ([row["session_id"] for row in listed["sessions"]], listed["total"]) == (mine, len(mine))
            for row in listed["sessions"]:
                assert row.items() >= self.model.sessions[row["session_id"]].summary(name).items()


@pytest.mark.slow
@pytest.mark.parametrize("examples", [EXAMPLES or 20])
def test_service_behaves_as_model(dsn: str, examples: int) -> None:
    size = {"max_examples": examples, "stateful_step_count": 60 if EXAMPLES else 30}
    with pair(dsn) as Sharing.pair:
        run(
            Sharing,
            settings=settings(
                **size,
                derandomize=not EXAMPLES,
                database=None,
                deadline=None,
                print_blob=True,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            ),
        )
