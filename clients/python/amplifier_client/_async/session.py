"""One session."""

import contextlib
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal, TypeVar

from amplifier_client import _protocol as protocol
from amplifier_client import models
from amplifier_client._protocol import Event
from amplifier_client.errors import AmplifierError, NoConnection, NotFound

from .connection import AsyncConnection

T = TypeVar("T")

_PAGE = 1000  # messages
_LOST = ("access.revoked", "session.deleted")
_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}


class AsyncSession:
    """One session: its transcript, its people, its agent. Iterating over it yields all its messages, in order.

    Made by `AsyncAmplifier.session` and `.find`. A session with a key that was deleted is created anew when it is used.
    """

    def __init__(
        self, client: AsyncConnection, session_id: str | None, key: str | None, wanted: Mapping[str, Any]
    ) -> None:
        self._client, self._id, self.key, self._wanted = client, session_id, key, wanted

    async def id(self) -> str:
        """Returns the session's id. Creates the session if it is not there."""
        if self.key is not None:
            return self._id or await self._client.session_id(self.key, self._wanted)
        if self._id is None:
            self._id = (await self._client.request("POST", "/sessions", models.Session, body=self._wanted)).session_id
        return self._id

    async def known_id(self) -> str | None:
        """Returns the session's id, or None if it is not there. Creates nothing."""
        if self._id is not None or self.key is None:
            return self._id
        return await self._client.known_id(self.key)

    async def request(self, method: str, path: str, kind: type[T], **options: Any) -> T:
        """Sends a request of a route below `/sessions/{id}`, as `AsyncAmplifier.request`."""
        session_id = await self.id()
        try:
            return await self._client.request(method, protocol.path_of("sessions", session_id) + path, kind, **options)
        except NotFound:
            if not await self._is_renewed(session_id):
                raise
        return await self._client.request(method, protocol.path_of("sessions", await self.id()) + path, kind, **options)

    async def _is_renewed(self, session_id: str) -> bool:
        """Returns whether the session's key now belongs to another session, because the one known was deleted."""
        if self.key is None:
            return False
        self._forget()
        return await self.id() != session_id

    async def get(self) -> models.Session:
        """Returns the session: title, tags, metadata, counts."""
        return await self.request("GET", "", models.Session)

    async def update(self, **changes: Any) -> models.Session:
        """Changes `title`, `tags`, `metadata`, `status` or `config_id`. Tags and metadata merge; None removes one."""
        return await self.request("PATCH", "", models.Session, body=changes, headers=_MERGE_PATCH)

    async def append(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
        on_conflict: Literal["skip", "replace"] | None = None,
        state: Mapping[str, Mapping[str, Any]] | None = None,
        expected_seq: int | None = None,
    ) -> models.Appended:
        """Appends messages in any format, all or none, in order.

        There may be 10,000 of 64 MB; with keys or state 1,000 of 8 MB. A message whose key is in the session already is
        skipped, or replaces the one there. `state` is merged into the documents `session`, `user` and `application` in
        the same transaction. Raises Stale unless the session's `last_seq` is `expected_seq`.
        """
        options = {"keys": keys, "on_conflict": on_conflict, "state": state, "expected_seq": expected_seq}
        body = {"messages": messages, **protocol.present(options)}
        repeatable = keys is not None and None not in keys and expected_seq is None
        request = protocol.append_options(body)
        return await self.request("POST", "/transcript", models.Appended, repeatable=repeatable, **request)

    async def messages(
        self, *, last: int | None = None, after: int = 0, limit: int | None = None
    ) -> list[models.Entry]:
        """Returns messages in order: the `last` ones, or those after a number, at most `limit`; without either, all."""
        if last is not None:
            return await self._newest(last)
        found: list[models.Entry] = []
        async for entry in self.iterate(after=after, page=min(limit or _PAGE, _PAGE)):
            found.append(entry)
            if len(found) == limit:
                break
        return found

    async def _newest(self, number: int) -> list[models.Entry]:
        found: list[models.Entry] = []
        values: dict[str, Any] = {"order": "desc"}
        while len(found) < number:
            values["limit"] = min(number - len(found), _PAGE)
            page = await self.request("GET", "/transcript", models.Transcript, params=values)
            found += page.messages
            if page.next is None:
                break
            values["before"] = page.next
        return found[::-1]

    async def plain(self, *, last: int | None = None) -> list[models.Message]:
        """Returns all messages as they were sent, or the `last` ones, in order."""
        if last is not None and last > _PAGE:
            return [entry.message for entry in await self.messages(last=last)]
        values = {"view": "plain", "last": last}
        return await self.request("GET", "/transcript", list[models.Message], params=values)

    async def retract(
        self,
        *,
        seqs: Sequence[int] | None = None,
        last: int | None = None,
        after_seq: int | None = None,
        expected_seq: int | None = None,
        erase: bool = False,
    ) -> models.Retracted:
        """Takes messages back: those with these numbers, the `last` ones, or all after a number. Returns them.

        They are gone from transcript, search and agents at once. Owners may `erase` what is kept of them for audits.
        """
        options = {"seqs": seqs, "last": last, "after_seq": after_seq, "expected_seq": expected_seq}
        body = protocol.present({**options, "erase": erase or None})
        return await self.request("POST", "/transcript/retract", models.Retracted, body=body)

    async def iterate(self, *, after: int = 0, page: int = _PAGE) -> AsyncIterator[models.Entry]:
        """Yields all messages after a number, in order, page by page."""
        position: int | None = after
        while position is not None:
            values = {"after": position, "limit": page}
            answer = await self.request("GET", "/transcript", models.Transcript, params=values)
            for entry in answer.messages:
                yield entry
            position = answer.next

    def __aiter__(self) -> AsyncIterator[models.Entry]:
        return self.iterate()

    async def follow(self, *, after: int | None = None) -> AsyncIterator[Event]:
        """Yields the session's events: from now on, or after a number, each one with a `seq` once and in order.

        It connects again when the connection breaks, and ends when the session is deleted or the caller is removed.
        """
        position = after if after is not None else (await self.get()).last_seq
        path, attempt, began = protocol.path_of("sessions", await self.id(), "events"), 0, False
        while True:
            try:
                async with self._client.open_stream("GET", path, {"Last-Event-ID": str(position)}) as events:
                    began = True
                    async for event in events:
                        attempt = 0
                        position = event.seq or position
                        yield event
                        if event.type in _LOST:
                            return
                raise NoConnection("the stream ended", events.retry)
            except AmplifierError as fault:
                await self._client.pause(attempt, fault, endless=began)
                attempt += 1

    async def stream(
        self, message: str, *, context: Mapping[str, Any] | None = None, on_busy: str | None = None
    ) -> AsyncIterator[Event]:
        """Sends a message to the session's agent and yields what it does, until `response`, with the whole `content`.

        A broken connection joins the same turn again. Raises RunFailed, Problem, NoConnection.
        """
        body = protocol.present({"message": message, "context": context, "on_busy": on_busy})
        path, attempt = protocol.path_of("sessions", await self.id(), "stream"), 0
        headers = {"Idempotency-Key": protocol.idempotency_key()}
        while True:
            try:
                async with self._client.open_stream("POST", path, headers, body) as events:
                    async for each in events:
                        event, attempt = protocol.run_event(each), 0
                        if event.type == "done":
                            return
                        if event.type == "error":
                            raise protocol.run_failure(event)
                        headers = {"Last-Event-ID": event.id} if event.id else headers
                        yield event
                raise NoConnection("the stream ended before the turn did", events.retry)
            except AmplifierError as fault:
                await self._client.pause(attempt, fault)
                attempt += 1

    async def send(
        self, message: str, *, context: Mapping[str, Any] | None = None, on_busy: str | None = None
    ) -> models.AgentAnswer:
        """Sends a message to the session's agent and returns its answer at the end of the turn."""
        body = protocol.present({"message": message, "context": context, "on_busy": on_busy})
        return await self.request("POST", "/messages", models.AgentAnswer, body=body, timeout=protocol.TURN_TIMEOUT)

    async def search(self, q: str, **filters: Any) -> models.SearchResults:
        """Returns the best hits in this session; `filters` as in `AsyncAmplifier.search`."""
        return await self.request("GET", "/search", models.SearchResults, params={"q": q, **filters})

    async def export(self, format: protocol.ExportFormat = "jsonl", **options: Any) -> bytes:
        """Returns the transcript as a file of this format; `options` are `after` and `as_of`."""
        file = io.BytesIO()
        await self.export_to(file, format, **options)
        return file.getvalue()

    async def export_to(self, file: BinaryIO, format: protocol.ExportFormat = "jsonl", **options: Any) -> int:
        """Writes the transcript into a file that is open for writing bytes, piece by piece. Returns its size.

        Repeats requests that fail before the first piece. Raises NoConnection if the connection breaks later, or the
        transcript changes meanwhile: what was written is then no whole file.
        """
        path, size, attempt = protocol.path_of("sessions", await self.id(), "export"), 0, 0
        while True:
            try:
                async with self._client.open_download(path, {"format": format, **options}) as pieces:
                    async for piece in pieces:
                        size += file.write(piece)
                return size
            except AmplifierError as fault:
                if size:
                    raise
                await self._client.pause(attempt, fault)
                attempt += 1

    async def state(self) -> models.SessionStates:
        """Returns three documents with their versions: of the session, of the caller, and of the application."""
        return await self.request("GET", "/state", models.SessionStates)

    async def update_state(self, **patches: Any) -> models.PatchedStates:
        """Merges `session`, `user` and `application` into the documents; None removes a member.

        With `versions`, such as `{"session": 3}`, raises Stale if a document has another version by then.
        """
        return await self.request("PATCH", "/state", models.PatchedStates, body=patches)

    async def share(
        self, user_id: str, role: models.Role = "viewer", permissions: Mapping[str, bool] | None = None
    ) -> models.Participant:
        """Lets a user take part, or changes their role."""
        body = protocol.present({"user_id": user_id, "role": role, "permissions": permissions})
        return await self.request("POST", "/participants", models.Participant, body=body)

    async def unshare(self, user_id: str) -> None:
        """Removes a user from the session."""
        await self.request("DELETE", protocol.path_of("participants", user_id), type(None))

    async def fork(self, up_to_seq: int, **options: Any) -> "AsyncSession":
        """Returns a new session of the caller with the messages up to a number."""
        row = await self.request("POST", "/fork", models.Session, body={"up_to_seq": up_to_seq, **options})
        return AsyncSession(self._client, row.session_id, None, {})

    async def delete(self) -> None:
        """Deletes the session with its transcript. One that is not there is deleted already."""
        for _ in range(2):  # the id that was known may be of a session that was deleted, its key of another one
            session_id = await self.known_id()
            if session_id is None:
                return
            self._forget()
            with contextlib.suppress(NotFound):
                await self._client.request("DELETE", protocol.path_of("sessions", session_id), Any)
                return

    def _forget(self) -> None:
        """Forgets the id of a session with a key."""
        if self.key is not None:
            self._id = None
            self._client.remember(self.key, None)
