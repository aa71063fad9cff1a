"""The items of OpenAI's Conversations API: the messages of a session, whatever their format."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.transcripts.response_items import items_of, place_of
from amplifier.web.conversation_view import (
    Conversation,
    Items,
    ItemsBody,
    append,
    conversation,
    refusal,
    rights,
    session_of,
)
from amplifier.web.request import Request
from amplifier.web.responses import answer
from amplifier.web.routing import delete, get, post
from amplifier.web.transcript_view import read, read_backwards

_NEWEST = 2**63 - 1
_LONGEST_ID = 255

ItemId = Annotated[
    str, PathParameter(max_length=_LONGEST_ID, description="The item's id, as the list of items shows it")
]
AfterItem = Annotated[
    str | None, QueryParameter(max_length=_LONGEST_ID, description="The id of the last item of the page before")
]
ItemLimit = Annotated[int, QueryParameter(ge=1, le=100, description="Items at most")]
ItemOrder = Annotated[Literal["asc", "desc"], QueryParameter(description="`desc`: the newest first")]
Include = Annotated[
    list[Annotated[str, msgspec.Meta(max_length=100)]] | None,
    QueryParameter(name="include[]", max_items=20, description="Without effect: items have all that was stored"),
]


class AddItems(ItemsBody):
    """1 to 20 items in order."""

    items: Annotated[Items, msgspec.Meta(min_length=1)]


class ConversationItem(msgspec.Struct):
    """An item of the Responses API; its other members follow from its type."""

    id: str
    type: str


class ConversationItems(msgspec.Struct):
    """Items; `last_id` is the `after` of the next page, if there is one (`has_more`)."""

    data: list[ConversationItem]
    first_id: str
    last_id: str
    has_more: bool
    object: str = "list"


class ConversationItemsController(Controller):
    """Routes below /v1/conversations/{conversation_id}/items."""

    path = "/v1/conversations/{conversation_id:str}/items"
    tags = ["openai"]

    # its rows say who wrote them: no entry in the audit log
    @post(
        operation_id="add_conversation_items",
        summary="Add items",
        status_code=200,
        audited=False,
        errors=(403, 409),
    )
    async def add_conversation_items(
        self,
        request: Request,
        conversation_id: FromPath[str],
        data: JSONBody[AddItems],
        include: Include = None,
    ) -> ConversationItems:
        """Adds all items or none, each as a message that is stored as it came. For owners, editors and participants
        with `send`; the session must be active."""
        session_id = session_of(request, conversation_id)
        seq = await append(request, session_id, data.items)
        page = await read(request, session_id, seq - 1, len(data.items))
        return _page([item for entry in page.messages for item in _items(entry)], has_more=False)

    @get(operation_id="get_conversation_items", summary="The items of a conversation")
    async def get_conversation_items(
        self,
        request: Request,
        conversation_id: FromPath[str],
        after: AfterItem = None,
        limit: ItemLimit = 20,
        order: ItemOrder = "desc",
        include: Include = None,
    ) -> ConversationItems:
        """Newest first by default. Messages of other formats are shown as items, too. For participants."""
        session_id = session_of(request, conversation_id)
        start = None if after is None else await _place(request, session_id, after)
        if order == "asc":
            page = await read(request, session_id, start[0] - 1 if start else 0, limit + 1)
        else:
            page = await read_backwards(request, session_id, start[0] + 1 if start else _NEWEST, limit + 1)
        items = [item for entry in page.messages for item in _beyond(entry, start, order)]
        return _page(items[:limit], len(items) > limit or page.next is not None)

    @get("/{item_id:str}", operation_id="get_conversation_item", summary="One item")
    async def get_conversation_item(
        self,
        request: Request,
        conversation_id: FromPath[str],
        item_id: FromPath[ItemId],
        include: Include = None,
    ) -> ConversationItem:
        """Returns an item by its id, of several with one id the newest. For participants."""
        session_id = session_of(request, conversation_id)
        items = _items(await _entry(request, session_id, item_id))
        _, number = place_of(item_id) or (0, 0)
        if number >= len(items):
            raise _no_item()
        return answer(200, items[number])  # type: ignore[no-any-return]

    @delete(
        "/{item_id:str}",
        operation_id="delete_conversation_item",
        ignores_body=True,
        summary="Delete an item",
        audited=False,
        errors=(403, 409),
    )
    async def delete_conversation_item(
        self, request: Request, conversation_id: FromPath[str], item_id: FromPath[ItemId]
    ) -> Conversation:
        """Takes the message of the item back, with its other items, as `retract_messages` does. For owners and editors,
        and for others with `send` who wrote it."""
        session_id = session_of(request, conversation_id)
        seq, _ = await _place(request, session_id, item_id)
        rows = await request.queries.retractions.create(
            actor_id=request.caller.user_id,
            actor_app_id=request.caller.app_id,
            session_id=session_id,
            seqs=[seq],
            last=None,
            after=None,
            most=1,
            erases=False,
            expected_seq=None,
            max_bytes=0,
        )
        if not rows:
            raise await refusal(request, session_id, "delete items")
        if not rows[0]["found"]:
            raise _no_item()
        if not rows[0]["retracted"]:
            raise Problem(403, "Only owners and editors may delete items of others")
        return await conversation(request, session_id)


async def _place(request: Request, session_id: str, item_id: str) -> tuple[int, int]:
    """Returns the numbers of an item's message and of the item in it. Raises Problem 404."""
    return place_of(item_id) or ((await _entry(request, session_id, item_id)).seq, 0)


async def _entry(request: Request, session_id: str, item_id: str) -> Entry:
    """Returns the message of an item. Raises Problem 404."""
    queries, key = request.queries, {"actor_id": request.caller.user_id, "session_id": session_id}
    place = place_of(item_id)
    row = await (queries.messages.get(**key, seq=place[0]) if place else queries.items.get(**key, item_id=item_id))
    if row is None:
        await rights(request, session_id)
        raise _no_item()
    return Entry(*row)


def _beyond(entry: Entry, start: tuple[int, int] | None, order: str) -> list[dict[str, Any]]:
    """Returns the items of a message in their order, of the message of the last page only those after its last item."""
    items = _items(entry)
    number = start[1] if start is not None and start[0] == entry.seq else None
    if order == "asc":
        return items if number is None else items[number + 1 :]
    return items[:number][::-1]


def _items(entry: Entry) -> list[dict[str, Any]]:
    return items_of(entry.seq, msgspec.json.decode(json_characters.replaced(entry.message)))


def _no_item() -> Problem:
    return Problem(404, "Item not found")


def _page(items: list[dict[str, Any]], has_more: bool) -> ConversationItems:
    first, last = (items[0]["id"], items[-1]["id"]) if items else ("", "")
    return ConversationItems(items, first, last, has_more)  # type: ignore[arg-type]
