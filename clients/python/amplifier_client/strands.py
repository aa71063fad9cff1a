"""Sessions of Strands Agents in Amplifier.

    Agent(session_manager=RepositorySessionManager("user-42", AmplifierSessionRepository()))

Needs `pip install 'amplifier-client[strands]'`.
"""

from typing import Any

from strands.multiagent import MultiAgentBase
from strands.session import SessionRepository
from strands.types.exceptions import SessionException
from strands.types.session import (
    Session,
    SessionAgent,
    SessionMessage,
    SessionType,
    decode_bytes_values,
    encode_bytes_values,
)

from . import models
from ._shared import shared_sync
from ._sync.client import Amplifier

_SET_ONCE = "created_at"


class AmplifierSessionRepository(SessionRepository):
    """Stores a session of Strands in the Amplifier session of the caller whose key is its id.

    Messages of all its agents are in the transcript; the states of agents are in the session's state document. Without
    `client` the settings come from the environment.
    """

    def __init__(self, client: Amplifier | None = None) -> None:
        self.amplifier = client or shared_sync()

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Creates a session. Of several callers at once, all use the same one."""
        self.amplifier.session(session.session_id).id()
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """Returns a session, or None if it is not there."""
        found = self.amplifier.find(session_id)
        if found is None:
            return None
        row = found.get()
        return Session(session_id, SessionType.AGENT, row.created_at.isoformat(), row.updated_at.isoformat())

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Stores the state of a new agent."""
        self._write(session_id, "agents", session_agent.agent_id, session_agent.to_dict(), new=True)

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Replaces the state of an agent, but for the time of its creation."""
        self._write(session_id, "agents", session_agent.agent_id, session_agent.to_dict())

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """Returns the state of an agent, or None if there is none."""
        found = self._read(session_id, "agents", agent_id)
        return None if found is None else SessionAgent.from_dict(found)

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Stores the state of a graph or swarm."""
        self._write(session_id, "multi_agents", multi_agent.id, multi_agent.serialize_state())

    update_multi_agent = create_multi_agent

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """Returns the state of a graph or swarm, or None if there is none."""
        return self._read(session_id, "multi_agents", multi_agent_id)

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Appends a message. Raises SessionException if another process has used its number."""
        body = {"messages": [_stored(agent_id, session_message)], "keys": [f"{agent_id}/{session_message.message_id}"]}
        # with an Idempotency-Key, which tells a repeated request from another process
        session = self.amplifier.session(session_id)
        if session.request("POST", "/transcript", models.Appended, body=body).skipped:
            number = session_message.message_id
            raise SessionException(f"Another process stored message {number} of agent {agent_id}: make the agent anew.")

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Replaces a message. Of one that is redacted, nothing is kept but what replaces it."""
        message, key = _stored(agent_id, session_message), f"{agent_id}/{session_message.message_id}"
        self.amplifier.session(session_id).append([message], keys=[key], on_conflict="replace")

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        """Returns a message, or None if it is not there."""
        return next((one for one in self.list_messages(session_id, agent_id) if one.message_id == message_id), None)

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """Returns messages of an agent in order, without the first `offset`, at most `limit`."""
        found = self.amplifier.find(session_id)
        messages = found.plain() if found else []
        mine = [_loaded(one) for one in messages if one.get("strands", {}).get("agent_id") == agent_id]
        mine.sort(key=lambda message: message.message_id)
        return mine[offset:] if limit is None else mine[offset : offset + limit]

    def _write(self, session_id: str, kind: str, name: str, value: dict[str, Any], new: bool = False) -> None:
        """Writes a value whole: a merge patch would keep members that are gone, but replaces lists."""
        patch = {"value": [value]} | ({_SET_ONCE: value[_SET_ONCE]} if new else {})
        self.amplifier.session(session_id).update_state(session={"strands": {kind: {name: patch}}})

    def _read(self, session_id: str, kind: str, name: str) -> dict[str, Any] | None:
        found = self.amplifier.find(session_id)
        document = found.state().session.document if found else {}
        stored = document.get("strands", {}).get(kind, {}).get(name)
        if stored is None:
            return None
        value: dict[str, Any] = stored["value"][0]
        return value | {_SET_ONCE: stored[_SET_ONCE]} if _SET_ONCE in stored else value


def _stored(agent_id: str, message: SessionMessage) -> dict[str, Any]:
    """Returns a message of Bedrock's format, which the service reads, with what Strands keeps beside it."""
    more = {"agent_id": agent_id, "message_id": message.message_id, "redacted": message.redact_message is not None}
    times = {"created_at": message.created_at, "updated_at": message.updated_at}
    return {**encode_bytes_values(message.to_message()), "strands": more | times}


def _loaded(stored: dict[str, Any]) -> SessionMessage:
    more = stored["strands"]
    message = decode_bytes_values({name: value for name, value in stored.items() if name != "strands"})
    redacted = message if more["redacted"] else None
    return SessionMessage(message, more["message_id"], redacted, more["created_at"], more["updated_at"])
