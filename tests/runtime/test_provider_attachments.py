"""Images, files, recordings, thoughts and calls of hosted tools are sent as each model accepts them."""

import base64
from typing import Any

import pytest
from amplifier_core.message_models import ChatRequest, Message

from tests.runtime.providers import APIS, mounted, sent
from tests.support import llm

DATA = "iVBORw0KGgo="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "tool": "shot", "arguments": {}}]}


def user(*content: Any) -> dict[str, Any]:
    """Returns a user's message with blocks as the loop sends them."""
    return {"role": "user", "content": list(content)}


def standing_for(**block: Any) -> dict[str, Any]:
    """Returns a text block of a request that stands for another one."""
    return {"type": "text", "text": "(a note)", "original": block}


@pytest.mark.parametrize("api", APIS)
async def test_model_without_eyes_gets_notes(stub: llm.Stub, api: str) -> None:
    shown = {"role": "tool", "tool_call_id": "c1", "content": [IMAGE]}
    body = await sent(stub, api, "go", CALL, shown, user(IMAGE), config={"vision": False})
    assert DATA not in str(body)
    assert str(body["messages"]).count("(An image is not shown here.)") == 2
    async with mounted(api, stub, vision=False) as one:
        assert one.provider.get_info().capabilities == ["streaming", "tools"]


async def test_images_of_tools_follow_the_results_for_openai(stub: llm.Stub) -> None:
    shown = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a page"}, IMAGE]}
    body = await sent(stub, "openai", "go", CALL, shown, "and?")
    assert body["messages"][2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "a page\n(The image is in the next message.)"},
        user(
            {"type": "text", "text": "(The images that the tools returned:)"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{DATA}"}},
        ),
        {"role": "user", "content": "and?"},
    ]


async def test_errors_of_tools_are_marked(stub: llm.Stub) -> None:
    failed = {
        "role": "tool",
        "tool_call_id": "c1",
        "is_error": True,
        "content": [{"type": "text", "text": "no"}, IMAGE],
    }
    body = await sent(stub, "anthropic", "go", CALL, failed)
    (result,) = body["messages"][2]["content"]
    assert result == {
        "type": "tool_result", "tool_use_id": "c1", "content": "no\n(An image is not shown here.)", "is_error": True,
    }  # fmt: skip
    body = await sent(stub, "openai", "go", CALL, {**failed, "content": "no"})
    assert body["messages"][2]["content"] == "The tool failed: no"


async def test_files_are_sent_as_each_api_accepts_them(stub: llm.Stub) -> None:
    pdf = standing_for(type="file", name="a.pdf", media_type="application/pdf", data="JVBE")
    text = standing_for(type="file", name="a.csv", media_type="text/csv", data=base64.b64encode(b"x,y").decode())
    word = standing_for(type="file", name="a.docx", media_type="application/msword", data="AAAA")
    linked = standing_for(type="file", media_type="application/pdf", url="https://example.com/a.pdf")
    body = await sent(stub, "openai", user(pdf, text, word, linked))
    assert body["messages"][0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "a.csv:\nx,y"},
        {"type": "text", "text": "(The file a.docx (application/msword) is not shown here.)"},
        {"type": "text", "text": "(A file (application/pdf) at https://example.com/a.pdf is not shown here.)"},
    ]
    body = await sent(stub, "anthropic", user(pdf, text, word, linked))
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}
    assert body["messages"][0]["content"] == [
        {"type": "document", "source": source, "title": "a.pdf"},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x,y"}, "title": "a.csv"},
        {"type": "text", "text": "(The file a.docx (application/msword) is not shown here.)"},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ]


async def test_recordings_are_sent_to_models_with_ears(stub: llm.Stub) -> None:
    recording = standing_for(type="audio", media_type="audio/wav", data="AAAA")
    spoken = standing_for(type="audio", media_type="audio/ogg", data="AAAA", transcript="hello")
    body = await sent(stub, "openai", user(recording, spoken), config={"audio": True})
    assert body["messages"][0]["content"] == [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "text", "text": "hello"},
    ]
    for api in APIS:
        body = await sent(stub, api, user(recording, spoken))
        assert "(A recording cannot be heard here.)" in str(body["messages"])
        assert "hello" in str(body["messages"])


@pytest.mark.parametrize(
    ("url", "option", "sent_back"),
    [
        ("https://api.deepseek.com", None, True),
        ("https://api.moonshot.ai/v1", None, True),
        ("https://api.openai.com/v1", None, False),
        ("http://localhost:8000/v1", None, False),
        ("http://localhost:8000/v1", True, True),
        ("https://api.deepseek.com", False, False),
    ],
)
async def test_reasoning_goes_back_with_its_turn_where_it_is_demanded(
    url: str, option: bool | None, sent_back: bool
) -> None:
    thought = [{"type": "thinking", "thinking": "hm"}, {"type": "tool_call", "id": "c1", "name": "shot", "input": {}}]
    said = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "aside"}, {"type": "text", "text": "hi"}]},
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": thought},
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ]
    request = ChatRequest(messages=[Message(**one) for one in said])
    async with mounted("openai", api_key="k", model="m", base_url=url, send_reasoning=option) as one:
        messages = one.provider.body(request, "m", {})["messages"]
    assert [message.get("reasoning_content") for message in messages if message["role"] == "assistant"] == (
        [None, "hm", " "] if sent_back else [None, None, None]
    )


HOSTED = [
    standing_for(type="server_tool_use", id="srvtoolu_1", name="web_search", input={"query": "q"}),
    standing_for(type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[]),
]


async def test_calls_that_anthropic_executed_are_sent_back_as_they_came(stub: llm.Stub) -> None:
    done = {"role": "assistant", "content": [*HOSTED, {"type": "text", "text": "found"}]}
    body = await sent(stub, "anthropic", "go", done, "and?")
    assert body["messages"][1]["content"] == [
        HOSTED[0]["original"], HOSTED[1]["original"], {"type": "text", "text": "found"},
    ]  # fmt: skip
    body = await sent(stub, "openai", "go", done, "and?")
    assert body["messages"][1]["content"] == '(web_search was called with {"query":"q"})\n(It returned: )\nfound'


async def test_half_of_a_hosted_call_is_sent_as_text_unless_it_is_paused(stub: llm.Stub) -> None:
    half = {"role": "assistant", "content": [{"type": "text", "text": "I search."}, HOSTED[0]]}
    body = await sent(stub, "anthropic", "go", half, "and?")
    assert body["messages"][1]["content"][1] == {"type": "text", "text": '(web_search was called with {"query":"q"})'}
    body = await sent(stub, "anthropic", "go", half)
    assert body["messages"][1]["content"][1] == HOSTED[0]["original"]


async def test_sealed_thoughts_of_others_are_not_sent_to_anthropic(stub: llm.Stub) -> None:
    google = standing_for(text="hm", thought=True, thoughtSignature="sig")
    openai = standing_for(type="reasoning", summary=[], encrypted_content="sealed")
    body = await sent(
        stub, "anthropic", "go", {"role": "assistant", "content": [google, openai, {"type": "text", "text": "a"}]}
    )
    assert body["messages"][1]["content"] == [{"type": "text", "text": "a"}]
