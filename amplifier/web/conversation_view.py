"""The conversation that several routes of OpenAI's API answer with: a session under the name that its clients know."""

from typing import Annotated, Any

import msgspec

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.transcripts import response_items
from amplifier.web.bodies import MessagesBody
from amplifier.web.request import Request, participation

PREFIX = "conv_"
MOST_ITEMS = 20  # of one request, as in OpenAI's API

MetadataValue = Annotated[str, msgspec.Meta(max_length=512)]
MetadataKey = Annotated[str, msgspec.Meta(max_length=64)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], msgspec.Meta(max_length=16)]
Items = Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MOST_ITEMS)]


class ItemsBody(MessagesBody):
    """A body with items, which become messages as they came."""


class Conversation(msgspec.Struct):
    """A conversation, which is a session: its `id` is `conv_` and the session's id. `created_at` is in seconds since
    1970."""

    id: str
    created_at: int
    metadata: msgspec.Raw
    object: str = "conversation"


def identifier(session_id: str) -> str:
    """Returns the id of a session's conversation."""
    return PREFIX + session_id


def session_of(request: Request, conversation_id: str) -> str:
    """Returns the id of a conversation's session, and makes the request one about that session. Raises Problem 404."""
    if not conversation_id.startswith(PREFIX):
        raise not_found()
    session_id = conversation_id.removeprefix(PREFIX)
    request.path_params["session_id"] = session_id
    return session_id


def shown(row: Any) -> Conversation:
    """Returns the conversation of a session's row."""
    return Conversation(identifier(row["session_id"]), int(row["created_at"].timestamp()), row["metadata"])


async def conversation(request: Request, session_id: str) -> Conversation:
    """Returns the conversation of a session that the caller takes part in. Raises Problem 404."""
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        raise not_found()
    return shown(row)


async def append(request: Request, session_id: str, items: list[msgspec.Raw]) -> int:
    """Appends items as messages. Returns the number of the first one. Raises Problem 403, 404, 409 and 422."""
    for number, item in enumerate(items):
        if fault := _fault_of(item):
            place = f"items[{number}]"
            raise Problem(422, f"{place}: {fault}", errors=[{"field": place, "detail": fault}])
    messages = await request.app.state.scrubber.json(b"[" + b",".join(items) + b"]")
    row = await request.queries.messages.append(
        actor_id=request.caller.user_id,
        actor_app_id=request.caller.app_id,
        session_id=session_id,
        messages=json_characters.Stored(messages),
        expected_seq=None,
    )
    if row is None:
        raise await refusal(request, session_id, "add items")
    first_seq: int = row["first_seq"]
    return first_seq


def _fault_of(item: msgspec.Raw) -> str | None:
    """Returns why an item cannot be stored, or None. The decoder of the body did not look into its text."""
    try:
        return response_items.fault_of(msgspec.json.decode(item))
    except UnicodeDecodeError:
        return "is not valid UTF-8"
    except RecursionError:
        return "nested deeper than 64 levels"
    except msgspec.MsgspecError as error:
        return f"is not valid JSON: {error}"


async def refusal(request: Request, session_id: str, act: str) -> Problem:
    """Returns the problem of a statement for those who may send that did nothing. Raises Problem 404."""
    if not (await rights(request, session_id)).may_send:
        return Problem(403, f"Only owners, editors and whoever has the permission send may {act}")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        return not_found()
    if row["status"] != "active":
        return Problem(409, f"The session is {row['status']}: resume it before you {act}")
    return Problem(409, "The agent is at work, or the session changed at the same time: try again")


async def rights(request: Request, session_id: str) -> Any:
    """Returns the caller's rights in a conversation. Raises Problem 404."""
    try:
        return await participation(request, session_id)
    except Problem:
        raise not_found() from None


def not_found() -> Problem:
    """Returns the problem of a conversation that does not exist, or in which the caller takes no part."""
    return Problem(404, "Conversation not found")
