"""The format `claude-code`: the file of a session of Claude Code, whose entries are linked by `parentUuid`."""

import uuid
from typing import Any

from amplifier.exports.anthropic import message_of
from amplifier.exports.conversation import Conversation, Said
from amplifier.exports.names import session_uuid
from amplifier.exports.origin import entry as entry_of
from amplifier.exports.source import Exported, Line, as_json
from amplifier.exports.words import text_of

VERSION = "2.0.0"  # of Claude Code, whose entries these are
_MODEL = "<synthetic>"  # as Claude Code names answers that are of no model it knows
_NOTHING_USED = {"input_tokens": 0, "output_tokens": 0}


class ClaudeCode:
    """Writes an entry for each message of a user, an assistant or its tools."""

    def __init__(self, session: Exported) -> None:
        self._conversation, self._session_id = Conversation(), session_uuid(session, "claude-code")
        self._title, self._tags = session.title, session.labels()
        self._parent: str | None = None
        self._branch: dict[str, Any] = {"isSidechain": False}
        self._count = 0

    def begin(self) -> str:
        """Returns nothing: the title names the last entry."""
        return ""

    def follow(self, lines: list[bytes]) -> None:
        """Takes lines of the file that is written again: what is added continues the last of their entries."""
        entries = (entry for line in reversed(lines) if isinstance((entry := entry_of(line)).get("uuid"), str))
        if last := next(entries, None):
            self._parent = last["uuid"]
            self._session_id = last["sessionId"] if isinstance(last.get("sessionId"), str) else self._session_id
            self._branch = {name: last[name] for name in ("isSidechain", "agentId") if name in last}

    def add(self, line: Line) -> str:
        """Returns the entries of the messages that are complete."""
        return "".join(map(self._entry, self._conversation.add(line)))

    def end(self) -> str:
        """Returns the last entries, and the title."""
        last = "".join(map(self._entry, self._conversation.end()))
        if not self._title or not self._count:
            return last
        return last + as_json({"type": "summary", "summary": self._title, "leafUuid": self._parent}) + "\n"

    def _entry(self, said: Said) -> str:
        entry = self._content(said)
        if entry is None:
            return ""
        self._count += 1
        identifier = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._session_id} {said.line.seq} {self._count}"))
        whole = {
            "parentUuid": self._parent,
            **self._branch,
            "userType": "external",
            "cwd": self._tags.get("cwd", "/"),
            "sessionId": self._session_id,
            "version": VERSION,
            "gitBranch": self._tags.get("branch", ""),
            **entry,
            "uuid": identifier,
            "timestamp": said.line.time,
        }
        self._parent = identifier
        return as_json(whole) + "\n"

    def _content(self, said: Said) -> dict[str, Any] | None:
        if said.role == "system":
            text = text_of(said.parts)
            return {"type": "system", "subtype": "informational", "level": "info", "content": text} if text else None
        message = message_of(said)
        if message is None:
            return None
        content = message["content"]
        if said.role != "assistant":
            is_text = len(content) == 1 and content[0]["type"] == "text"
            return {"type": "user", "message": {**message, "content": content[0]["text"] if is_text else content}}
        is_calling = any(block["type"] == "tool_use" for block in content)
        known = {
            "id": f"msg_{said.line.seq}",
            "type": "message",
            "role": "assistant",
            "model": self._tags.get("model", _MODEL),
            "content": content,
            "stop_reason": "tool_use" if is_calling else "end_turn",
            "stop_sequence": None,
            "usage": _NOTHING_USED,
        }
        return {"type": "assistant", "message": known}
