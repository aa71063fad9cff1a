"""A model of sessions in a few lines of Python: each call returns the status that the service must return."""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

RANKS = ["viewer", "editor", "owner"]


class Part:
    """A participant's role, permissions and read marker."""

    def __init__(self, role: str, rights: dict[str, bool] | None = None) -> None:
        self.role, self.rights, self.last_read = role, dict(rights or {}), 0

    @property
    def may_send(self) -> bool:
        return self.rights.get("send", self.role != "viewer")

    @property
    def shown(self) -> tuple[str, dict[str, bool], int]:
        """The values of the list of participants besides the name."""
        return self.role, self.rights, self.last_read

    def may_invite(self, role: str) -> bool:
        return self.rights.get("invite", self.role == "owner") and RANKS.index(role) <= RANKS.index(self.role)


class Message(NamedTuple):
    """A message as the service must return it."""

    seq: int
    message: Any
    author: str


class Invitation:
    """An invitation to a session."""

    def __init__(self, made_by: str, seq: int, role: str, max_uses: int) -> None:
        self.made_by, self.seq, self.role, self.left, self.revoked = made_by, seq, role, max_uses, False


class Session:
    """A session; `people` stand in the order in which they joined. Nobody takes part in one that was deleted."""

    def __init__(self, clock: Iterator[int], owner: str, config_owner: str | None) -> None:
        self._clock = clock
        self.owner, self.config_owner = owner, config_owner
        self.people = {owner: Part("owner")}
        self.status, self.title, self.last_seq, self.changed = "active", None, 0, next(clock)
        self.messages: list[Message] = []
        self.removals: list[tuple[int, str, str]] = []  # number, who was removed, by whom

    def append(self, actor: str, messages: list[Any], expected: int | None) -> int:
        part = self.people.get(actor)
        if part is None:
            return 404
        if not part.may_send:
            return 403
        if self.status != "active":
            return 409
        if expected not in (None, self.last_seq):
            return 412
        for message in messages:
            self.messages.append(Message(self._tick(), message, actor))
        return 201

    def change(self, actor: str, changes: dict[str, str | None]) -> int:
        part = self.people.get(actor)
        if part is None:
            return 404
        if part.role == "viewer":
            return 403
        new = (changes.get("title", self.title) or None, changes.get("status") or self.status)
        if new != (self.title, self.status):
            self._tick()
        self.title, self.status = new
        return 200

    def delete(self, actor: str) -> int:
        if (refusal := self._not_owner(actor)) == 0:
            self.people = {}
        return refusal or 200

    def transfer(self, actor: str, user: str) -> int:
        if refusal := self._not_owner(actor):
            return refusal
        if user not in self.people:
            return 404
        if user == actor == self.owner:
            return 200
        self.people[actor].role, self.people[user].role = "editor", "owner"
        self._hand_over(user)
        self._tick()
        return 200

    def put(self, actor: str, user: str, role: str, rights: dict[str, bool] | None) -> int:
        part = self.people.get(actor)
        if part is None:
            return 404
        if user in self.people:
            return self.update(actor, user, role, rights)
        if not part.may_invite(role) or (rights is not None and part.role != "owner"):
            return 403
        self.people[user] = Part(role, rights)
        self._tick()
        return 201

    def update(self, actor: str, user: str, role: str | None, rights: dict[str, bool] | None) -> int:
        if refusal := self._not_owner(actor):
            return refusal
        if user not in self.people:
            return 404
        if role not in (None, "owner") and self._last_owner(user):
            return 409
        part = self.people[user]
        new = (role or part.role, part.rights if rights is None else dict(rights))
        if new != (part.role, part.rights):
            self._tick()
        part.role, part.rights = new
        self._keep_owner()
        return 200

    def remove(self, actor: str, user: str) -> int:
        if (refusal := self._not_owner(actor)) and (refusal == 404 or user != actor):
            return refusal
        if user not in self.people:
            return 404
        if self._last_owner(user):
            return 409
        del self.people[user]
        self.removals.append((self._tick(), user, actor))
        self._keep_owner()
        return 204

    def invite(self, actor: str, role: str, max_uses: int) -> Invitation | int:
        part = self.people.get(actor)
        if part is None:
            return 404
        return Invitation(actor, self._tick(), role, max_uses) if part.may_invite(role) else 403

    def revoke(self, actor: str, invitation: Invitation) -> int:
        refusal = self._not_owner(actor) or (404 if invitation.revoked else 0)
        if not refusal:
            invitation.revoked = True
            self._tick()
        return refusal or 204

    def accept(self, actor: str, invitation: Invitation) -> int:
        if not self.people:
            return 404
        if actor in self.people:
            return 200
        maker = self.people.get(invitation.made_by)
        is_out = any(seq > invitation.seq and who == actor != by for seq, who, by in self.removals)
        is_open = maker is not None and maker.may_invite(invitation.role) and invitation.left and not invitation.revoked
        if not is_open or is_out:
            return 410
        invitation.left -= 1
        self.people[actor] = Part(invitation.role)
        self._tick(2)
        return 201

    def read(self, actor: str, seq: int) -> int:
        if actor not in self.people:
            return 404
        if seq > self.last_seq:
            return 422
        self.people[actor].last_read = max(seq, self.people[actor].last_read)
        return 200

    def behind(self, seq: int, limit: int | None = None) -> list[Message]:
        """Returns the messages of a page."""
        return [message for message in self.messages if message.seq > seq][:limit]

    def unread(self, actor: str) -> int:
        """Returns the number of messages after the actor's marker without the actor's own, at most 100."""
        behind = self.behind(self.people[actor].last_read)
        return min(100, sum(one.author != actor or one.message["role"] != "user" for one in behind))

    def summary(self, actor: str) -> dict[str, Any]:
        """Returns the members that the list of sessions must have."""
        return {
            "status": self.status,
            "title": self.title,
            "role": self.people[actor].role,
            "message_count": sum(one.message["role"] == "user" for one in self.messages),
            "messages_total": len(self.messages),
            "last_seq": self.last_seq,
            "last_read_seq": self.people[actor].last_read,
            "unread": self.unread(actor),
        }

    def _tick(self, numbers: int = 1) -> int:
        self.last_seq += numbers
        self.changed = next(self._clock)
        return self.last_seq

    def _not_owner(self, actor: str) -> int:
        part = self.people.get(actor)
        return 404 if part is None else 0 if part.role == "owner" else 403

    def _last_owner(self, user: str) -> bool:
        return all((part.role == "owner") == (name == user) for name, part in self.people.items())

    def _keep_owner(self) -> None:
        owners = [name for name, part in self.people.items() if part.role == "owner"]
        if self.owner not in owners:
            self._hand_over(owners[0])

    def _hand_over(self, user: str) -> None:
        """Changes the owner. The session of another user runs a copy of the config, which belongs to nobody."""
        self.owner = user
        if user != self.config_owner:
            self.config_owner = None


class Model:
    """The model of all sessions."""

    def __init__(self) -> None:
        self.clock = itertools.count()
        self.sessions: dict[str, Session] = {}

    def of(self, actor: str, owned: bool = False) -> list[str]:
        """Returns the ids of the actor's sessions, the last changed first."""
        mine = [key for key, one in self.sessions.items() if actor in one.people]
        mine = [key for key in mine if not owned or self.sessions[key].people[actor].role == "owner"]
        return sorted(mine, key=lambda key: -self.sessions[key].changed)

    def saying(self, actor: str, word: str) -> set[tuple[str, int]]:
        """Returns session and number of each message with this content that the actor may read."""
        found = [(key, one) for key in self.of(actor) for one in self.sessions[key].messages]
        return {(key, one.seq) for key, one in found if one.message["content"] == word}

    def delete_config(self, owner: str, force: bool) -> tuple[int, list[str]]:
        """Deletes the owner's config. Returns the status, and the ids of the sessions that are deleted with it."""
        gone = [key for key, one in self.sessions.items() if one.config_owner == owner and one.people]
        if not force and any(self.sessions[key].people.keys() - {owner} for key in gone):
            return 409, []
        for key in gone:
            self.sessions[key].people = {}
        return 200, gone
