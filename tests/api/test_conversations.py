"""OpenAI's Conversations API, with OpenAI's own client."""

from typing import Any

import httpx
import openai
import pytest
from openai.types.conversations import ConversationItem, ConversationItemList
from pydantic import TypeAdapter

from tests.conftest import Api, serving, settings_for, token
from tests.support.openai_clients import acting, client

ITEMS: list[Any] = [
    {"role": "user", "content": "Is there a direct flight to Geneva?"},
    {"type": "reasoning", "id": "rs_68af", "summary": [], "encrypted_content": "gAAAA"},
    {"type": "function_call", "call_id": "call_1", "name": "search", "arguments": '{"to": "GVA"}'},
    {"type": "function_call_output", "call_id": "call_1", "output": "HAT136"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes: HAT136."}]},
]
OPENAI: Any = TypeAdapter(ConversationItem)


@pytest.fixture
async def mia(api: Api) -> openai.AsyncOpenAI:
    """A client of mia."""
    await acting(api)
    return client(api, "mia")


@pytest.fixture
def desk(api: Api, mia: openai.AsyncOpenAI) -> httpx.AsyncClient:
    """Mia by the service's own API, through the same application."""
    return api.client({"X-API-Key": api.keys["desk"], "X-User-ID": "mia"})


async def test_conversation_is_a_session(mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    made = await mia.conversations.create(metadata={"topic": "flights"}, items=ITEMS[:1])
    assert (made.object, made.metadata) == ("conversation", {"topic": "flights"})
    session = (await desk.get(f"/sessions/{made.id.removeprefix('conv_')}")).json()
    assert (session["metadata"], session["message_count"], session["config_id"]) == ({"topic": "flights"}, 1, None)
    assert await mia.conversations.retrieve(made.id) == made
    changed = await mia.conversations.update(made.id, metadata={"topic": "trains"})
    assert (changed.id, changed.metadata) == (made.id, {"topic": "trains"})
    found = (await desk.get("/search?q=Geneva")).json()["items"]
    assert [hit["session_id"] for hit in found] == [session["session_id"]]
    deleted = await mia.conversations.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    with pytest.raises(openai.NotFoundError, match="Conversation not found"):
        await mia.conversations.retrieve(made.id)


async def test_items_come_back_as_they_were_stored(mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    made = await mia.conversations.create()
    added = await mia.conversations.items.create(made.id, items=ITEMS)
    ConversationItemList.model_validate(added.model_dump())
    assert [item.id for item in added.data] == ["msg_seq1", "rs_68af", "fc_seq3", "fco_seq4", "msg_seq5"]
    stored = (await desk.get(f"/sessions/{made.id[5:]}/transcript?view=plain")).json()
    assert stored == ITEMS
    listed = [item async for item in mia.conversations.items.list(made.id, order="asc", limit=2)]
    assert listed == added.data
    newest = [item.id async for item in mia.conversations.items.list(made.id, limit=2)]
    assert newest == [item.id for item in added.data][::-1]
    for item in added.data:
        assert await mia.conversations.items.retrieve(item.id or "", conversation_id=made.id) == item
    [question, *_, answer] = (item.model_dump(exclude_none=True) for item in added.data)
    assert question["content"] == [{"type": "input_text", "text": "Is there a direct flight to Geneva?"}]
    assert answer["content"] == [{"type": "output_text", "text": "Yes: HAT136.", "annotations": []}]


async def test_pages_begin_after_an_item(mia: openai.AsyncOpenAI) -> None:
    made = await mia.conversations.create(items=ITEMS)
    page = await mia.conversations.items.list(made.id, after="rs_68af", order="asc", limit=2)
    assert ([item.id for item in page.data], page.has_more, page.last_id) == (["fc_seq3", "fco_seq4"], True, "fco_seq4")
    page = await mia.conversations.items.list(made.id, after="rs_68af", include=["reasoning.encrypted_content"])
    assert ([item.id for item in page.data], page.has_more) == (["msg_seq1"], False)
    empty = await mia.conversations.items.list(made.id, after="msg_seq1")
    assert (empty.data, empty.has_more, empty.last_id) == ([], False, "")


async def test_deleted_item_is_taken_back(mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    made = await mia.conversations.create(items=ITEMS)
    items = mia.conversations.items
    for item_id in ("msg_seq5", "rs_68af"):
        assert (await items.delete(item_id, conversation_id=made.id)).id == made.id
        with pytest.raises(openai.NotFoundError, match="Item not found"):
            await items.delete(item_id, conversation_id=made.id)
    assert [item.id async for item in items.list(made.id)] == ["fco_seq4", "fc_seq3", "msg_seq1"]
    page = await items.list(made.id, after="msg_seq5", limit=1)
    assert ([item.id for item in page.data], page.has_more) == (["fco_seq4"], True)
    assert (await desk.get(f"/sessions/{made.id[5:]}")).json()["messages_total"] == 3


async def test_messages_of_other_formats_are_items(mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    made = await mia.conversations.create()
    calls = [
        {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for number in (1, 2)
    ]
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "http://x/y"}}],
        },
        {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_2", "content": "rain"}]},
    ]
    await desk.post(f"/sessions/{made.id[5:]}/transcript", json={"messages": messages})
    every = [item async for item in mia.conversations.items.list(made.id, order="asc")]
    shown = [(item.id, item.type) for item in every]
    assert shown == [
        ("msg_seq1", "message"),
        ("msg_seq2", "message"),
        ("fc_seq2_1", "function_call"),
        ("fc_seq2_2", "function_call"),
        ("fco_seq3", "function_call_output"),
        ("fco_seq4", "function_call_output"),
    ]
    for item in every:
        OPENAI.validate_python(item.model_dump())
    for order, expected in (("asc", every), ("desc", every[::-1])):
        assert [item async for item in mia.conversations.items.list(made.id, order=order, limit=1)] == expected  # type: ignore[arg-type]
    assert (await mia.conversations.items.retrieve("fc_seq2_2", conversation_id=made.id)) == every[3]


async def test_client_raises_its_own_errors(api: Api, mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    made = await mia.conversations.create(items=ITEMS)
    noor, items = client(api, "noor"), mia.conversations.items
    for call in (
        noor.conversations.retrieve(made.id),
        noor.conversations.update(made.id, metadata={}),
        noor.conversations.delete(made.id),
        noor.conversations.items.create(made.id, items=ITEMS),
        noor.conversations.items.list(made.id),
        noor.conversations.items.retrieve("msg_seq1", conversation_id=made.id),
        noor.conversations.items.retrieve("rs_68af", conversation_id=made.id),
        noor.conversations.items.delete("msg_seq1", conversation_id=made.id),
        noor.conversations.items.delete("rs_68af", conversation_id=made.id),
        mia.conversations.retrieve("conv_none"),
        mia.conversations.retrieve(made.id[5:]),
    ):
        with pytest.raises(openai.NotFoundError, match=r"(Conversation|Session) not found"):
            await call
    for item_id in ("rs_none", "msg_seq99", "fc_seq3_1"):
        with pytest.raises(openai.NotFoundError, match="Item not found"):
            await items.retrieve(item_id, conversation_id=made.id)
    await desk.post(f"/sessions/{made.id[5:]}/participants", json={"user_id": "noor", "role": "viewer"})
    assert (await noor.conversations.retrieve(made.id)).id == made.id
    for call in (
        noor.conversations.update(made.id, metadata={}),
        noor.conversations.delete(made.id),
        noor.conversations.items.create(made.id, items=ITEMS),
        noor.conversations.items.delete("msg_seq1", conversation_id=made.id),
    ):
        with pytest.raises(openai.PermissionDeniedError, match="Only owners"):
            await call
    await desk.patch(f"/sessions/{made.id[5:]}/participants/noor", json={"permissions": {"send": True}})
    with pytest.raises(openai.PermissionDeniedError, match="items of others"):
        await noor.conversations.items.delete("msg_seq1", conversation_id=made.id)
    await desk.patch(f"/sessions/{made.id[5:]}", json={"status": "completed"})
    with pytest.raises(openai.ConflictError, match="resume it"):
        await items.create(made.id, items=ITEMS)


@pytest.mark.parametrize(
    ("given", "place", "detail"),
    [
        ({"items": []}, "items", "items"),
        ({"items": ITEMS[:1] * 21}, "items", "items"),
        ({"items": [ITEMS[0], {"type": "item_reference", "id": "x"}]}, "items[1]", "send the item itself"),
        ({"items": [{"content": "x"}]}, "items[0]", "needs a type"),
        ({"items": [{"role": "user"}]}, "items[0]", "needs content"),
        ({"items": ["x"]}, "items[0]", "must be an object"),
    ],
)
async def test_what_does_not_fit_is_named(mia: openai.AsyncOpenAI, given: Any, place: str, detail: str) -> None:
    made = await mia.conversations.create()
    with pytest.raises(openai.UnprocessableEntityError, match=detail) as caught:
        await mia.conversations.items.create(made.id, **given)
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", place)
    assert (await mia.conversations.items.list(made.id)).data == []
    with pytest.raises(openai.UnprocessableEntityError, match="metadata"):
        await mia.conversations.update(made.id, metadata={"x": "y" * 513})


async def test_failed_creation_leaves_no_conversation(mia: openai.AsyncOpenAI, desk: httpx.AsyncClient) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        await mia.conversations.create(items=[{"content": "x"}])  # type: ignore[typeddict-item]
    with pytest.raises(openai.UnprocessableEntityError, match="metadata: contains a NUL"):
        await mia.conversations.create(metadata={"topic": "x\0"})
    with pytest.raises(openai.NotFoundError, match="Config not found: none"):
        await mia.conversations.create(extra_body={"config_id": "none"})
    assert (await desk.get("/sessions")).json()["total"] == 0


async def test_credentials(api: Api, mia: openai.AsyncOpenAI, dsn: str) -> None:
    key, headers = api.keys["desk"], {"X-API-Key": api.keys["desk"]}
    by_token = client(api, "mia", api_key=token(sub="mia"), default_headers=headers)
    made = await by_token.conversations.create()
    assert (await mia.conversations.retrieve(made.id)).id == made.id
    await api.register("plain")
    for api_key, default, said in (
        (key, {}, "Name the user in X-User-ID"),
        ("app_0123456789abcdef_" + "x" * 43, {"X-User-ID": "mia"}, "Invalid API key"),
        ("sk-1", {"X-User-ID": "mia"}, "Missing X-API-Key header"),
        (api.keys["plain"], {"X-User-ID": "mia"}, "may not act for the user"),
    ):
        with pytest.raises(openai.AuthenticationError, match=said) as caught:
            await client(api, "mia", api_key=api_key, default_headers=default).conversations.retrieve(made.id)
        assert caught.value.type == "authentication_error"
    elsewhere = await api.client({"Authorization": f"Bearer {key}", "X-User-ID": "mia"}).get("/users/me")
    assert elsewhere.status_code == 401
    async with serving(settings_for(dsn, auth_required=False)) as open_api:
        assert (await client(open_api, "anybody").conversations.create()).id.startswith("conv_")
