"""Sessions of Google's Agent Development Kit in Amplifier.

    Runner(agent=agent, app_name="travel", session_service=AmplifierSessionService())

Needs `pip install 'amplifier-client[adk]'`.
"""

import asyncio
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from weakref import WeakValueDictionary

from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.events.event_actions import EventActions
from google.adk.platform import uuid as platform_uuid
from google.adk.sessions import BaseSessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig, ListSessionsResponse
from pydantic import BaseModel

from . import models
from ._async.client import AsyncAmplifier
from ._async.session import AsyncSession
from ._protocol import key_path, path_of
from ._shared import shared
from .errors import Conflict, NotFound, Stale

_STALE = "The session has been modified in storage since it was loaded. Get it again before you append more events."
_PAGE = 100  # events, read from the end until one is older than asked for
Documents = dict[str, dict[str, Any]]  # of the scopes session, user and application

_LOCAL = ("127.0.0.1", "localhost", "::1")


class AmplifierSessionService(BaseSessionService):
    """Stores each session of ADK as an Amplifier session with the key `adk/APP/USER/SESSION`.

    A client with an application's key and neither token nor user acts for each user of ADK (`act_as`), who is then a
    user of Amplifier. Any other client keeps the sessions of all users of ADK for the one user that it has.

    Without `client` the settings come from the environment. `uri` is that of `adk web --session_service_uri`:
    `amplifier://`, or with a host `amplifier://sessions.example.com`, which is called by HTTPS unless it is this
    machine. `agents_dir` is not used.
    """

    def __init__(
        self, client: AsyncAmplifier | None = None, *, uri: str | None = None, agents_dir: str | None = None
    ) -> None:
        url = _url(uri) if uri else None
        self._client = client or (AsyncAmplifier(url) if url else shared())
        options = self._client._options
        self._acts = bool(options.api_key and not options.user and not options.token)
        self._locks: WeakValueDictionary[tuple[Any, ...], asyncio.Lock] = WeakValueDictionary()

    async def create_session(
        self, *, app_name: str, user_id: str, state: dict[str, Any] | None = None, session_id: str | None = None
    ) -> Session:
        """Creates a session. Of several callers with one id, all but one get AlreadyExistsError."""
        client, session_id = self._of(user_id), session_id or platform_uuid.new_uuid()
        key, tags = _key(app_name, user_id, session_id), {"adk_app": app_name, "adk_user": user_id}
        try:
            row = await client.request("POST", "/sessions", models.Session, body={"external_id": key, "tags": tags})
        except Conflict as conflict:
            raise AlreadyExistsError(f"Session with id {session_id} already exists.") from conflict
        session, seq = client.session(id=row.session_id), row.last_seq
        patches = _patches(app_name, user_id, _json(EventActions(state_delta=state or {})))
        if patches:
            try:
                seq = (await session.append([], state=patches)).last_seq
            except BaseException:
                await session.delete()
                raise
        documents = await client.request("GET", path_of("sessions", row.session_id, "state"), Documents)
        return _session(key, documents, row.created_at.timestamp(), f"{row.session_id}/{seq}")

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> Session | None:
        """Returns a session with its events, or the recent ones that `config` asks for."""
        client, config = self._of(user_id), config or GetSessionConfig()
        key = _key(app_name, user_id, session_id)
        try:
            row = await client.request("GET", key_path(key), models.Session)
        except NotFound:
            return None
        # both are read after the row: what came later makes the next append stale
        documents = await client.request("GET", path_of("sessions", row.session_id, "state"), Documents)
        events = await _events(client.session(id=row.session_id), row.last_seq, config)
        updated = events[-1].timestamp if events else row.created_at.timestamp()
        session = _session(key, documents, updated, f"{row.session_id}/{row.last_seq}")
        number, after = config.num_recent_events, config.after_timestamp
        recent = events if number is None else events[max(len(events) - number, 0) :]
        session.events = [event for event in recent if after is None or event.timestamp >= after]
        return session

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Returns the sessions of a user, or of all users that the client keeps sessions for, without events."""
        if user_id is None and self._acts:
            raise ValueError("user_id: name a user, for whom the application then asks; it cannot ask for all of them")
        client = self._client if user_id is None else self._of(user_id)
        rows = await _rows(client, app_name, *([] if user_id is None else [user_id]))
        documents = await client.request("GET", "/state", Documents)
        sessions = [
            _session(key, documents | {"session": {"document": row.state.document}}, row.updated_at.timestamp())
            for key, row in rows.items()
            if row.state
        ]
        sessions.sort(key=lambda session: (session.last_update_time, session.user_id, session.id))
        return ListSessionsResponse(sessions=sessions)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Deletes a session with its events. One that is not there is deleted already."""
        await self._of(user_id).session(_key(app_name, user_id, session_id)).delete()

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Returns the state of a user in an app, without the prefix `user:`."""
        documents = await self._of(user_id).request("GET", "/state", Documents)
        return _user_state(documents, app_name, user_id)

    async def append_event(self, session: Session, event: Event) -> Event:
        """Appends an event and merges its state, in one transaction. A partial event is not stored.

        Raises StaleSessionError if events were appended that `session` does not have, SessionNotFoundError.
        """
        if event.partial or any(event == one for one in session.events if one.id == event.id):
            return event
        self._apply_temp_state(session, event)
        event = self._trim_temp_delta_state(event)
        client = self._of(session.user_id)
        async with self._lock(session):
            try:
                session_id, seq = await _position(client, session)
                seq = await _append(client, path_of("sessions", session_id, "transcript"), session, event, seq)
            except NotFound as missing:
                raise SessionNotFoundError(f"Session {session.id} not found.") from missing
            session._storage_update_marker = f"{session_id}/{seq}"
            session.last_update_time = event.timestamp
            return self._commit_event_to_session(session, event)

    def _of(self, user_id: str) -> AsyncAmplifier:
        """Returns the client for a user of ADK."""
        return self._client.as_user(user_id) if self._acts else self._client

    def _lock(self, session: Session) -> asyncio.Lock:
        """Returns the lock by which parallel branches of a run append one after the other."""
        which = (asyncio.get_running_loop(), session.app_name, session.user_id, session.id)
        return self._locks.setdefault(which, asyncio.Lock())


def _url(uri: str) -> str | None:
    """Returns the address of the service in a URI, or None where the environment has it."""
    parts = urlsplit(uri)
    return f"{'http' if parts.hostname in _LOCAL else 'https'}://{parts.netloc}" if parts.netloc else None


def _key(*names: str) -> str:
    return "/".join(["adk", *(quote(name, safe=" @:+") for name in names)])


async def _rows(client: AsyncAmplifier, app_name: str, *user_id: str) -> dict[str, models.SessionSummary]:
    """Returns the caller's sessions of an app, or of a user of it, by their keys."""
    tags = dict(zip(("adk_app", "adk_user"), (app_name, *user_id), strict=False))
    begin = f"{_key(app_name, *user_id)}/"  # a fork has the tags, but not the key
    rows = [row async for row in client.sessions(tags=tags, include=["state"], owned=True)]
    return {row.external_id: row for row in rows if row.external_id and row.external_id.startswith(begin)}


async def _events(session: AsyncSession, last_seq: int, config: GetSessionConfig) -> list[Event]:
    """Returns the events up to a number: all, or at least those that are asked for and the last one."""
    number, after = config.num_recent_events, config.after_timestamp
    last = None if after is None else _PAGE
    if number is not None:
        last = max(number, 1)
    while True:
        entries = await session.messages(last=last)
        # what other clients appended are no events of ADK
        messages = [entry.message for entry in entries if entry.seq <= last_seq and "invocationId" in entry.message]
        events = [Event.model_validate(message) for message in messages]
        is_enough = after is None or number is not None or (events and events[0].timestamp < after)
        if last is None or len(entries) < last or is_enough:
            return events
        last *= 10


async def _position(client: AsyncAmplifier, session: Session) -> tuple[str, int]:
    """Returns the id of the Amplifier session and the number up to which `session` has its events."""
    if session._storage_update_marker:
        session_id, _, seq = session._storage_update_marker.partition("/")
        return session_id, int(seq)
    row = await client.request("GET", key_path(_key(session.app_name, session.user_id, session.id)), models.Session)
    stored = await _events(client.session(id=row.session_id), row.last_seq, GetSessionConfig(num_recent_events=1))
    if [one.id for one in stored] != [one.id for one in session.events[-1:]]:
        raise StaleSessionError(_STALE)
    return row.session_id, row.last_seq


async def _append(client: AsyncAmplifier, path: str, session: Session, event: Event, seq: int) -> int:
    """Appends an event to the transcript whose session has the number `seq`. Returns its number then."""
    message = _json(event)
    patches = _patches(session.app_name, session.user_id, message["actions"])
    body = {"messages": [message], "keys": [event.id]} | ({"state": patches} if patches else {})
    while True:
        try:
            # its key knows the event again: an Idempotency-Key would cost a second statement
            appended = await client.request(
                "POST", path, models.Appended, body=body | {"expected_seq": seq}, repeatable=True
            )
        except Stale as stale:
            if stale.last_seq is None or [entry.key for entry in stale.missed] not in ([], [event.id]):
                raise StaleSessionError(_STALE) from stale
            seq = stale.last_seq  # a new title or participant is no event
            if stale.missed:
                return seq  # the answer to an earlier attempt was lost
            continue
        if appended.skipped:
            raise AlreadyExistsError(f"Event with id {event.id} already exists.")
        return appended.last_seq


def _json(value: BaseModel) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_none=True, by_alias=True)


def _patches(app_name: str, user_id: str, actions: dict[str, Any]) -> dict[str, Any]:
    """Returns the merge patches of an event's actions by scope, of those scopes that they change."""
    scopes: dict[str, dict[str, Any]] = {"": {}, "user": {}, "app": {}, "temp": {}}
    for name, value in actions["stateDelta"].items():
        scope, colon, rest = name.partition(":")
        if not colon or scope not in scopes:
            scope, rest = "", name
        scopes[scope][rest] = [value] if _is_packed(value) else value
    patches = {
        "session": scopes[""],
        "user": scopes["user"] and {"adk": {app_name: {user_id: scopes["user"]}}},
        "application": scopes["app"] and {"adk": {app_name: scopes["app"]}},
    }
    return {scope: patch for scope, patch in patches.items() if patch}


def _is_packed(value: Any) -> bool:
    """Returns whether a value is stored in a list of one, so that a merge patch replaces it whole."""
    return value is None or isinstance(value, (dict, list))


def _unpacked(values: dict[str, Any] | None, prefix: str = "") -> dict[str, Any]:
    """Returns the values of a document as they were, with a prefix before their names."""
    return {prefix + name: value[0] if isinstance(value, list) else value for name, value in (values or {}).items()}


def _user_state(documents: Documents, app_name: str, user_id: str) -> dict[str, Any]:
    return _unpacked(documents["user"]["document"].get("adk", {}).get(app_name, {}).get(user_id))


def _session(key: str, documents: Documents, updated: float, marker: str | None = None) -> Session:
    """Returns the session with this key, the documents of the three scopes in its state."""
    app_name, user_id, session_id = map(unquote, key.split("/")[1:])
    state = _unpacked(documents["session"]["document"])
    state |= _unpacked(documents["application"]["document"].get("adk", {}).get(app_name), "app:")
    state |= {f"user:{name}": value for name, value in _user_state(documents, app_name, user_id).items()}
    session = Session(app_name=app_name, user_id=user_id, id=session_id, state=state, last_update_time=updated)
    session._storage_update_marker = marker
    return session
