"""Metadata, participants, last messages, runs and states in lists of sessions, for clients that ask for them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from litestar.params import QueryParameter
from msgspec import UnsetType

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.web.paging import Order, Pages, Position, Sort
from amplifier.web.request import Request
from amplifier.web.states import PatchedState
from amplifier.web.transcript_view import MAX_PAGE_BYTES
from amplifier.web.types import Role

_MOST_PARTICIPANTS = 20  # of each session
_MEMBERS = ("metadata", "participants", "last_message", "preview", "run", "state")

Include = Annotated[
    list[str] | None,
    QueryParameter(max_items=20, description=f"Members to add to each row, separated by commas: {', '.join(_MEMBERS)}"),
]


class IncludedParticipant(msgspec.Struct):
    """A participant of a session in a list."""

    user_id: str
    role: Role


class Preview(msgspec.Struct):
    """The newest message of a session in a list, with the first 200 characters of its text: what it says, else what a
    tool returned, else the tools that it calls. The text is null where it has none, or is too large to be read here."""

    seq: int
    role: str | None
    author_user_id: str
    created_at: datetime
    text: str | None


class IncludedRun(msgspec.Struct):
    """The run of a session that goes on, else the one that waits the longest."""

    run_id: str
    status: Literal["queued", "running"]


class _Including(Protocol):
    """A row of a list that has these members."""

    metadata: msgspec.Raw | UnsetType
    participants: list[IncludedParticipant] | UnsetType
    participant_count: int | UnsetType
    last_message: Entry | UnsetType | None
    preview: Preview | UnsetType | None
    run: IncludedRun | UnsetType | None
    state: PatchedState | UnsetType


Listed = TypeVar("Listed", bound=_Including)


def wanted(include: list[str] | None) -> frozenset[str]:
    """Returns the members that `include` names. Raises Problem 422 for others."""
    names = [name.strip() for one in include or () for name in one.split(",")]
    for name in names:
        if name not in _MEMBERS:
            raise Problem(422, f"include: takes {', '.join(_MEMBERS)}, separated by commas")
    return frozenset(names)


async def list_including(
    request: Request,
    members: frozenset[str],
    given: dict[str, Any],
    sort: Sort,
    order: Order | None,
    start: Position,
    limit: int,
) -> list[Any]:
    """Returns rows of session_includes.list; `given` are the user and the filters."""
    return await request.queries.session_includes.list(
        **given,
        sort=sort,
        ascending=order == "asc",
        after_moment=start.moment,
        after_session_id=start.identifier,
        limit=limit,
        with_metadata="metadata" in members,
        with_participants="participants" in members,
        with_last_message="last_message" in members,
        with_preview="preview" in members,
        with_run="run" in members,
        with_state="state" in members,
        most_participants=_MOST_PARTICIPANTS,
        max_bytes=MAX_PAGE_BYTES,
    )


def including_page(
    pages: Pages[Position], rows: list[Any], members: frozenset[str], listed: Callable[[Any], Listed]
) -> tuple[list[Listed], str | None]:
    """Returns a page of `listed` rows of session_includes.list with their members, and the next cursor."""
    page = [listed(row) for row in rows]
    for one, row in zip(page, rows, strict=True):
        if "metadata" in members:
            one.metadata = row["metadata"]
        if "participants" in members:
            one.participants = msgspec.json.decode(row["participants"], type=list[IncludedParticipant])
            one.participant_count = row["participant_count"]
        if "last_message" in members:
            one.last_message = _last_message(row)
        if "preview" in members:
            one.preview = _preview(row)
        if "run" in members:
            one.run = msgspec.json.decode(row["run"], type=IncludedRun) if row["run"] else None
        if "state" in members:
            one.state = msgspec.json.decode(row["state"], type=PatchedState)
    return page, pages.cursor(page[-1]) if rows and rows[-1]["has_more"] else None


def _last_message(row: Any) -> Entry | None:
    if row["message_seq"] is None:
        return None
    author = row["author_user_id"], row["author_app_id"]
    return Entry(row["message_seq"], row["message"], *author, row["message_created_at"], row["message_key"])


def _preview(row: Any) -> Preview | None:
    if row["message_seq"] is None:
        return None
    author, created_at = row["author_user_id"], row["message_created_at"]
    return Preview(row["message_seq"], row["message_role"], author, created_at, row["message_text"])
