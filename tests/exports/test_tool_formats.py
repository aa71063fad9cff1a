"""The formats of coding agents: what their programs need to list a session and to continue it."""

import io
import json
import uuid
import zipfile
from typing import Any

import msgspec
import pytest

from amplifier.transcripts import reader
from amplifier.transcripts.parts import Call, Result, Text
from tests.exports.documents import SESSION_ID, document, rows

SAID: list[dict[str, Any]] = [
    {"role": "system", "content": "You book flights."},
    {"role": "user", "content": "To Geneva?"},
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"to": "GVA"}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "LX 1"},
    {"role": "assistant", "content": "LX 1 flies."},
]
NATIVE: list[dict[str, Any]] = [
    {"role": "user", "content": "To Geneva?", "metadata": {"timestamp": "2026-03-04T05:06:07+00:00"}},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "tool": "find", "arguments": {"to": "GVA"}}]},
    {"role": "tool", "tool_call_id": "c1", "name": "find", "content": '{"success": true, "output": "LX 1"}'},
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "LX 1"}],
        "openai:response_id": "r",
    },
]


def parts(messages: list[Any]) -> list[tuple[str, Any]]:
    """Returns the texts, calls and results of messages of any format, with their roles."""
    found = []
    for message in messages:
        reading = reader.read(message)
        for part in reading.parts:
            if isinstance(part, Text):
                found.append((str(reading.role), part.text))
            elif isinstance(part, Call):
                found.append(("call", (part.id, part.name, part.arguments)))
            elif isinstance(part, Result):
                found.append(
                    ("result", (part.call_id, "".join(one.text for one in part.content if isinstance(one, Text))))
                )
    return found


def files(content: bytes) -> dict[str, bytes]:
    """Returns the files in a ZIP file by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_entries_of_claude_code_are_a_chain() -> None:
    *entries, title = rows("claude-code", SAID)
    assert [entry["type"] for entry in entries] == ["system", "user", "assistant", "user", "assistant"]
    assert [entry["parentUuid"] for entry in entries] == [None, *(entry["uuid"] for entry in entries[:-1])]
    assert len({str(uuid.UUID(entry["uuid"])) for entry in entries}) == len(entries)
    for name, value in {
        "sessionId": SESSION_ID,
        "cwd": "/home/ann/trip",
        "gitBranch": "main",
        "isSidechain": False,
        "timestamp": "2026-03-04T05:06:07.123Z",
    }.items():
        assert {json.dumps(entry[name]) for entry in entries} == {json.dumps(value)}, name
    assert title == {"type": "summary", "summary": "Flight to Geneva", "leafUuid": entries[-1]["uuid"]}
    assert parts([entry["message"] for entry in entries[1:]]) == parts(SAID[1:])
    assert rows("claude-code", SAID) == [*entries, title], "ids are the same each time"


def test_rollout_of_codex_begins_with_its_session() -> None:
    head, *lines = rows("codex", SAID)
    assert (head["type"], head["payload"]["id"], head["payload"]["cwd"]) == (
        "session_meta",
        SESSION_ID,
        "/home/ann/trip",
    )
    assert "model_provider" not in head["payload"], "Codex refuses to continue with another provider"
    items = [line["payload"] for line in lines if line["type"] == "response_item"]
    assert [item.get("role") for item in items if item["type"] == "message"] == [
        "developer", "user", "assistant", "assistant",
    ]  # fmt: skip
    assert parts(items)[1:] == parts(SAID)[1:]
    shown = [line["payload"] for line in lines if line["type"] == "event_msg"]
    assert shown[0] == {"type": "user_message", "message": "To Geneva?", "images": []}
    assert [event["message"] for event in shown[1:]] == ["I look.", "LX 1 flies."]


def test_sealed_thoughts_of_openai_come_back() -> None:
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "sealed"}
    [payload] = [line["payload"] for line in rows("codex", [item]) if line["type"] == "response_item"]
    assert payload == item


def test_messages_of_the_amplifier_cli_come_back_byte_for_byte() -> None:
    texts = [json.dumps(message) for message in NATIVE]
    made = files(document("amplifier", texts))
    assert made[f"{SESSION_ID}/transcript.jsonl"].decode() == "".join(f"{text}\n" for text in texts)
    metadata = json.loads(made[f"{SESSION_ID}/metadata.json"])
    assert (metadata["session_id"], metadata["turn_count"], metadata["working_dir"]) == (
        SESSION_ID,
        1,
        "/home/ann/trip",
    )


def test_other_messages_become_those_of_the_amplifier_cli() -> None:
    made = files(document("amplifier", [{"role": "model", "parts": [{"text": "Hello"}]}, *SAID, NATIVE[0]]))
    lines = [json.loads(line) for line in made[f"{SESSION_ID}/transcript.jsonl"].splitlines()]
    assert [line["role"] for line in lines] == ["assistant", "user", "assistant", "tool", "assistant", "user"]
    assert parts(lines)[1:] == [*parts(SAID[1:]), *parts(NATIVE[:1])]
    assert "parts" not in lines[0]


async def test_amplifier_core_continues_an_exported_session() -> None:
    from amplifier_core.message_models import ChatRequest, Message

    made = files(document("amplifier", [*SAID, *NATIVE]))
    lines = [json.loads(line) for line in made[f"{SESSION_ID}/transcript.jsonl"].splitlines()]
    request = ChatRequest(messages=[Message(**line) for line in lines])
    assert [message.role for message in request.messages] == [line["role"] for line in lines]


def test_equal_sessions_are_equal_files() -> None:
    assert document("amplifier", NATIVE) == document("amplifier", NATIVE)


@pytest.mark.parametrize("session_id", ["../../x", "a/b", "..", "\u202e", "x" * 255])
def test_id_of_a_session_is_no_path_in_the_archive(session_id: str) -> None:
    for name in files(document("amplifier", NATIVE, session_id=session_id)):
        folder, _, file = name.partition("/")
        assert folder not in ("", ".", "..")
        assert file in ("transcript.jsonl", "metadata.json")


def test_imported_session_gets_its_own_id_back() -> None:
    made = files(document("amplifier", NATIVE, external_id="amplifier:0123456789abcdef-0123456789abcdef_zen"))
    name = "0123456789abcdef-0123456789abcdef_zen"
    assert list(made) == [f"{name}/transcript.jsonl", f"{name}/metadata.json"]
    assert json.loads(made[f"{name}/metadata.json"])["session_id"] == name


def test_tags_of_a_session_may_be_missing() -> None:
    entries = rows("claude-code", SAID, tags=msgspec.Raw(b"{}"), title=None)
    assert {entry["cwd"] for entry in entries} == {"/"}
    assert entries[-1]["type"] == "assistant"
