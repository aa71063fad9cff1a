"""OpenAI's Conversations API: sessions as its clients know them. Their items are in conversation_items.py."""

import uuid
from functools import partial

import msgspec
from litestar import Controller
from litestar.params import FromPath, JSONBody

from amplifier import json_characters
from amplifier.errors import Problem
from amplifier.web.bodies import Body
from amplifier.web.changes import told
from amplifier.web.conversation_view import (
    Conversation,
    Items,
    ItemsBody,
    Metadata,
    append,
    conversation,
    identifier,
    rights,
    session_of,
    shown,
)
from amplifier.web.request import Request
from amplifier.web.routing import delete, get, post
from amplifier.web.types import Identifier
from amplifier.web.unit_of_work import commit, recorded


class CreateConversation(ItemsBody, frozen=True):  # type: ignore[misc]
    """A new conversation with up to 20 items. `config_id`, which OpenAI's API does not have, is the config whose agent
    answers in it."""

    items: Items | None = None
    metadata: Metadata | None = None
    config_id: Identifier | None = None


class UpdateConversation(Body):
    """The whole new metadata, of up to 16 texts."""

    metadata: Metadata | None


class DeletedConversation(msgspec.Struct):
    """Confirms the deletion."""

    id: str
    object: str = "conversation.deleted"
    deleted: bool = True


_NOTHING = CreateConversation()


class ConversationsController(Controller):
    """Routes below /v1/conversations."""

    path = "/v1/conversations"
    tags = ["openai"]

    @post(
        operation_id="create_conversation",
        summary="Create a conversation",
        status_code=200,
        errors=(404,),
        commits_itself=True,
    )
    async def create_conversation(
        self, request: Request, data: JSONBody[CreateConversation] = _NOTHING
    ) -> Conversation:
        """Creates a session, whose owner is the caller. 404 unless the config is the caller's."""
        if request.scope["raw_path"].endswith(b"/"):  # an update without its id would create a conversation
            raise Problem(404, "Conversation not found: the path ends without its id")
        metadata = msgspec.json.encode(data.metadata or {})
        if json_characters.restored(metadata) != metadata:
            raise Problem(422, "metadata: contains a NUL character or half a surrogate pair, which is no text")
        change = partial(_create, request, data, metadata)
        return await commit(request, change, one_statement=not data.items)  # type: ignore[no-any-return]

    @get("/{conversation_id:str}", operation_id="get_conversation", summary="One conversation")
    async def get_conversation(self, request: Request, conversation_id: FromPath[str]) -> Conversation:
        """For the participants of its session."""
        return await conversation(request, session_of(request, conversation_id))

    @post(
        "/{conversation_id:str}",
        operation_id="update_conversation",
        summary="Change a conversation",
        status_code=200,
        errors=(403,),
        one_statement=True,
    )
    async def update_conversation(
        self, request: Request, conversation_id: FromPath[str], data: JSONBody[UpdateConversation]
    ) -> Conversation:
        """Replaces the metadata. For owners and editors."""
        caller, session_id = request.caller, session_of(request, conversation_id)
        row = await recorded(request, request.queries.sessions.update)(
            actor_id=caller.user_id,
            actor_app_id=caller.app_id,
            session_id=session_id,
            title=None,
            tags=None,
            metadata=msgspec.json.encode(data.metadata or {}),
            merges=False,
            status=None,
            own_config_id=None,
            if_seqs=None,
        )
        if row is None:
            await rights(request, session_id)
            raise Problem(403, "Only owners and editors may change a conversation")
        told(request, row["changes"])
        return shown(row)

    @delete(
        "/{conversation_id:str}",
        operation_id="delete_conversation",
        ignores_body=True,
        summary="Delete a conversation",
        errors=(403,),
    )
    async def delete_conversation(self, request: Request, conversation_id: FromPath[str]) -> DeletedConversation:
        """Deletes the session with its transcript. For owners."""
        session_id = session_of(request, conversation_id)
        sessions, key = request.queries.sessions, {"actor_id": request.caller.user_id, "session_id": session_id}
        participants = await sessions.lock(**key)
        if not await recorded(request, sessions.delete)(**key, if_seqs=None):
            await rights(request, session_id)
            raise Problem(403, "Only owners may delete a conversation")
        gone = [row["user_id"] for row in participants]
        request.afterwards(partial(request.hub.announce_gone, session_id, "session.deleted", gone))
        return DeletedConversation(conversation_id)


async def _create(request: Request, data: CreateConversation, metadata: bytes) -> Conversation:
    """Creates the session of a conversation, with its first items. Raises Problem 404 for the config of others."""
    caller, session_id = request.caller, str(uuid.uuid4())
    request.tell(session_id=session_id)
    row = await recorded(request, request.queries.sessions.create)(
        actor_id=caller.user_id,
        actor_app_id=caller.app_id,
        session_id=session_id,
        external_id=None,
        config_id=data.config_id,
        title=None,
        tags=b"{}",
        metadata=metadata,
    )
    if row is None:
        raise Problem(404, f"Config not found: {data.config_id}")
    session_of(request, identifier(session_id))
    if data.items:
        await append(request, session_id, data.items)
    return shown(row)
