"""Transcripts of the Claude Agent SDK in Amplifier.

    ClaudeAgentOptions(session_store=AmplifierSessionStore())

Needs `pip install 'amplifier-client[claude]'`.
"""

from collections import OrderedDict
from typing import Any, cast

from claude_agent_sdk import fold_session_summary
from claude_agent_sdk.types import (
    SessionKey,
    SessionListSubkeysKey,
    SessionStore,
    SessionStoreEntry,
    SessionStoreListEntry,
    SessionSummaryEntry,
)

from . import models
from ._async.client import AsyncAmplifier
from ._async.session import AsyncSession
from ._shared import shared
from .errors import Stale

_BATCH = 500  # entries of one request, as the SDK sends them
_ATTEMPTS = 20  # of an append that other processes overtake
_KNOWN = 1000  # sessions whose summary is remembered
_SUMMARY = "claude_summary"  # in the session's state
_TITLE_LENGTH = 255


class AmplifierSessionStore(SessionStore):
    """Stores each transcript as a session with the key `claude/PROJECT/SESSION`, a subagent's with its path after it.

    Entries are messages whose keys are their `uuid`, so that none is stored twice. A session's title is its first
    prompt, or the title that it was given. Without `client` the settings come from the environment.
    """

    def __init__(self, client: AsyncAmplifier | None = None) -> None:
        self._client = client or shared()
        self._summaries: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()

    async def append(self, key: SessionKey, entries: list[SessionStoreEntry]) -> None:
        """Appends entries in order, those that are there already excepted."""
        session = self._session(key)
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            if key.get("subpath"):
                await session.append(_messages(batch), keys=_uuids(batch))
            else:
                await self._append_with_summary(key, session, batch)

    async def load(self, key: SessionKey) -> list[SessionStoreEntry] | None:
        """Returns all entries in order, or None for a key that has none."""
        session = self._session(key)
        if await session.known_id() is None:
            return None
        return cast(list[SessionStoreEntry], await session.plain()) or None

    async def list_sessions(self, project_key: str) -> list[SessionStoreListEntry]:
        """Returns the sessions of a project with the times of their last changes."""
        rows = await self._rows({"claude_project": project_key})
        return [
            {"session_id": row.tags["claude_session"], "mtime": _milliseconds(row)} for row in rows if not _subpath(row)
        ]

    async def list_session_summaries(self, project_key: str) -> list[SessionSummaryEntry]:
        """Returns what the SDK shows in lists, for all sessions of a project."""
        rows = await self._rows({"claude_project": project_key}, include=["state"])
        return [
            {
                "session_id": row.tags["claude_session"],
                "mtime": _milliseconds(row),
                "data": row.state.document.get(_SUMMARY, {}) if row.state else {},
            }
            for row in rows
            if not _subpath(row)
        ]

    async def delete(self, key: SessionKey) -> None:
        """Deletes a session with the transcripts of its subagents, or the one transcript of a subpath."""
        if not key.get("subpath"):
            for subpath in await self.list_subkeys(key):
                await self._session({**key, "subpath": subpath}).delete()
        self._summaries.pop(_name(key), None)
        await self._session(key).delete()

    async def list_subkeys(self, key: SessionListSubkeysKey) -> list[str]:
        """Returns the subpaths of a session."""
        rows = await self._rows({"claude_project": key["project_key"], "claude_session": key["session_id"]})
        return [subpath for row in rows if (subpath := _subpath(row))]

    def _session(self, key: SessionKey, title: str | None = None) -> AsyncSession:
        tags = {"claude_project": key["project_key"], "claude_session": key["session_id"]}
        return self._client.session(_name(key), tags=tags, title=title)

    async def _rows(self, tags: dict[str, str], **options: Any) -> list[models.SessionSummary]:
        found = self._client.sessions(tags=tags, sort="created_at", **options)
        return [row async for row in found if row.messages_total]

    async def _append_with_summary(
        self, key: SessionKey, session: AsyncSession, entries: list[SessionStoreEntry]
    ) -> None:
        """Appends entries and folds them into the summary, in one transaction that no other process overtakes."""
        name = _name(key)
        for _ in range(_ATTEMPTS):
            seq, data = self._summaries.get(name) or await self._read_summary(session)
            former: SessionSummaryEntry = {"session_id": key["session_id"], "mtime": 0, "data": data}
            folded = fold_session_summary(former, key, entries)["data"]
            patch = _patch(data, folded)
            state = {"session": {_SUMMARY: patch}} if patch else None
            try:
                appended = await session.append(_messages(entries), keys=_uuids(entries), state=state, expected_seq=seq)
            except Stale:
                self._summaries.pop(name, None)
                continue
            seq = appended.last_seq
            if _title(folded) != _title(data):
                titled = (await session.update(title=_title(folded))).last_seq
                seq = titled if titled == seq + 1 else seq  # else somebody else appended in between
            self._remember(name, seq, folded)
            return
        raise TimeoutError(f"{name}: other processes append without pause")

    async def _read_summary(self, session: AsyncSession) -> tuple[int, dict[str, Any]]:
        row = await session.get()
        if not row.messages_total:
            return row.last_seq, {}
        state = await session.state()
        return row.last_seq, state.session.document.get(_SUMMARY, {})

    def _remember(self, name: str, seq: int, data: dict[str, Any]) -> None:
        self._summaries[name] = seq, data
        self._summaries.move_to_end(name)
        if len(self._summaries) > _KNOWN:
            self._summaries.popitem(last=False)


def _name(key: SessionKey) -> str:
    subpath = key.get("subpath")
    return f"claude/{key['project_key']}/{key['session_id']}{f'/{subpath}' if subpath else ''}"


def _subpath(row: models.SessionSummary) -> str:
    """Returns the subpath in a session's key, empty for a main transcript."""
    main = f"claude/{row.tags['claude_project']}/{row.tags['claude_session']}"
    return (row.external_id or "").removeprefix(main).removeprefix("/")


def _messages(entries: list[SessionStoreEntry]) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], entries)


def _uuids(entries: list[SessionStoreEntry]) -> list[str | None]:
    return [entry.get("uuid") or None for entry in entries]


def _patch(former: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Returns the JSON merge patch between two summaries, which are flat."""
    changed = {name: value for name, value in present.items() if former.get(name) != value}
    return changed | dict.fromkeys(former.keys() - present.keys())


def _title(summary: dict[str, Any]) -> str | None:
    names = ("custom_title", "ai_title", "first_prompt")
    title = next((summary[name] for name in names if summary.get(name)), None)
    return title and title[:_TITLE_LENGTH]


def _milliseconds(row: models.SessionSummary) -> int:
    return int(row.updated_at.timestamp() * 1000)
