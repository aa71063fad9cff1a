"""Reads the content of messages: blocks with a type, blocks that are known by their members, and anything else.

Messages around them are read in `reader.py`, tool calls and their results in `tool_blocks.py`, images and files in
`media.py`.
"""

from collections.abc import Callable
from typing import Any, Literal

from amplifier.transcripts import media, tool_blocks
from amplifier.transcripts.parts import Call, Image, Part, Refusal, Text, Thinking, Unknown

Block = dict[str, Any]
Maker = Literal["anthropic", "google", "openai"] | None

_MAKERS: tuple[Literal["anthropic", "google", "openai"], ...] = ("anthropic", "google", "openai")
_SIGNATURES: dict[str, Maker] = {"signature": "anthropic", "thoughtSignature": "google", "thought_signature": "google"}
_SEALED: dict[str, Maker] = {"encrypted_content": "openai", "data": "anthropic", "redactedContent": "anthropic"}
# members that a block with nothing but a text may have, too
_ASIDE = {"text", "type", "kind", "annotations", "citations", "cache_control", "metadata", "id", "logprobs", "role"}
_ASIDE |= {"thoughtSignature", "thought_signature", "state", "providerMetadata", "visibility", "index"}
_KINDS = ("type", "part_kind", "kind", "block_type", "content_type")
_MARKS = {"step-start", "step-finish", "step_start", "step_finish", "start", "finish", "snapshot", "cachePoint"}
_MARKS |= {"fallback"}


def content(value: Any) -> list[Part]:
    """Reads the content of a message: a text, a block, or a list of them."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [Text(value)]
    if isinstance(value, list):
        return [part for item in value for part in content(item)]
    return block(value) if isinstance(value, dict) else [Unknown(value)]


def block(given: Block) -> list[Part]:
    """Reads a block. An unknown block is an Unknown part; a mark without content is no part."""
    parts = _block(given)
    if parts and isinstance(mark := given.get("cache_control"), dict):
        parts[-1].cache_control = mark
    return parts


def _block(given: Block) -> list[Part]:
    kind = next((given[key] for key in _KINDS if key in given), None)
    if not isinstance(kind, str):
        return _untyped(given)
    if kind in _READERS:
        return _READERS[kind](given)
    if kind in _MARKS:
        return []
    return tool_blocks.read(kind, given, content) or _untyped(given)


def shown(value: Any) -> Any:
    """Returns content, also within results, without the blocks that are marked as internal."""
    if isinstance(value, list):
        return [shown(item) for item in value if not _is_hidden(item)]
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items() if not _is_hidden(item)}
    return value


def thinking(given: Any) -> list[Part]:
    """Reads thinking: a text, a list of texts or blocks with texts, or a block of any provider."""
    if not isinstance(given, dict):
        return [Thinking(text)] if (text := _texts(given)) else []
    keys = ("reasoning", "text", "content", "summary")
    text = _texts(given.get("thinking")) or "\n".join(filter(None, (_texts(given.get(key)) for key in keys)))
    by, signature = _first(given, _SIGNATURES)
    maker, sealed = _first(given, _SEALED)
    if (inner := given.get("reasoningText")) is not None:
        text = _texts(inner)
        by, signature = _first(inner, _SIGNATURES) if isinstance(inner, dict) else (None, None)
    if not text and not signature and not sealed:
        return []
    return [Thinking(text, signature, sealed, _maker(given, by or maker))]


def _maker(given: Block, by: Maker) -> Maker:
    """Returns the provider that made a signature: `by`, unless the block is of a framework that names another one."""
    named = given.get("provider_name")  # of pydantic-ai
    if isinstance(named, str):
        return next((known for known in _MAKERS if named.startswith(known)), None)
    return None if str(given.get("type", "")).startswith("reasoning.") else by  # OpenRouter's may be of any provider


def _first(given: Block, keys: dict[str, Maker]) -> tuple[Maker, str | None]:
    """Returns the first text that the block has under one of these keys, with the provider that uses the key."""
    return next(
        ((by, given[key]) for key, by in keys.items() if isinstance(given.get(key), str) and given[key]), (None, None)
    )


def _texts(value: Any) -> str:
    """Returns a text, or the texts of a list of texts and blocks, a line each."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _texts(value.get("text", value.get("thinking", value.get("value"))))
    return "\n".join(filter(None, map(_texts, value))) if isinstance(value, list) else ""


def _said(given: Block) -> list[Part]:
    if given.get("thought") is True:
        return thinking(given)
    value = given.get("text", given.get("content"))
    if isinstance(value, list):
        return content(value)
    text = _texts(value) if isinstance(value, str | dict) else None
    if text is None:
        return [] if value is None else [Unknown(given)]
    return [Text(text)] if text else []


def _refused(given: Block) -> list[Part]:
    text = given.get("refusal")
    return [Refusal(text)] if isinstance(text, str) and text else []


def _image(given: Block) -> list[Part]:
    return _found(media.image(given), given)


def _file(given: Block) -> list[Part]:
    inner = given.get("document")
    if isinstance(inner, dict) and inner.keys() <= {"data", "id"} and "data" in inner:  # Cohere
        return content(inner["data"]) if isinstance(inner["data"], str) else [Unknown(inner["data"])]
    return _found(media.file(given), given)


def _audio(given: Block) -> list[Part]:
    return _found(media.audio(given), given)


def _found(part: Part, given: Block) -> list[Part]:
    if not media.is_empty(part):
        return [part]
    is_blank = all(value is None or key in ("type", "detail") for key, value in given.items())
    return [] if is_blank else [Unknown(given)]


def _compacted(given: Block) -> list[Part]:
    """Reads what a provider kept of the messages before: in clear from Anthropic, sealed from OpenAI."""
    text = given.get("content")
    return [Text(text)] if isinstance(text, str) and text else thinking(given)


def _guarded(given: Block) -> list[Part]:
    inner = given["guardContent"]
    return block({**inner, "type": "text"} if "text" in inner else inner)


def _data(given: Block) -> list[Part]:
    return [Unknown(given["data"])] if "data" in given else [Unknown(given)]


def _code(given: Block) -> list[Part]:
    return [Call(None, "code_execution", given["executableCode"], hosted=given)]


def _untyped(given: Block) -> list[Part]:
    """Reads a block without a known type by its members, as Gemini, Bedrock, A2A and Ollama write them."""
    for key, reader in _BY_MEMBER.items():
        if isinstance(given.get(key), dict):
            return reader(given)
    if parts := tool_blocks.untyped(given, content):
        return parts
    if isinstance(given.get("text"), str) and (given.get("thought") is True or given.keys() <= _ASIDE):
        return _said(given)
    if given.keys() & {"mediaType", "mimeType", "mime_type"} and given.keys() & {"url", "raw", "uri", "data"}:
        return _file(given)
    if given.keys() <= {"kind", "data", "metadata"} and "data" in given:
        return [Image(data=given["data"])] if isinstance(given["data"], str) else _data(given)  # AutoGen, A2A
    return [Unknown(given)] if given else []


def _is_hidden(given: Any) -> bool:
    """Returns whether a block is marked as internal. `visibility` means other things in what tools return."""
    is_internal = isinstance(given, dict) and given.get("visibility") == "internal"
    return is_internal and not given.keys().isdisjoint(("type", "text", "thinking", "content"))


_READERS: dict[str, Callable[[Block], list[Part]]] = {
    **dict.fromkeys(("text", "input_text", "output_text", "summary_text", "user-prompt", "system-prompt"), _said),
    **dict.fromkeys(("thinking", "reasoning", "redacted_thinking", "reasoning_text", "thinking_delta"), thinking),
    **dict.fromkeys(("reasoning.text", "reasoning.summary", "reasoning.encrypted"), thinking),
    "refusal": _refused,
    **dict.fromkeys(("image", "image_url", "image-url", "input_image", "computer_screenshot"), _image),
    **dict.fromkeys(("file", "document", "input_file", "document_url", "search_result", "container_upload"), _file),
    **dict.fromkeys(("source-url", "source", "resource", "resource_link", "video"), _file),
    **dict.fromkeys(("binary", "document-url", "video-url", "web_search_result"), _file),
    **dict.fromkeys(("audio", "input_audio", "output_audio", "audio-url", "audio_url"), _audio),
    "source-document": lambda given: [media.file(given)],
    "compaction": _compacted,
    "data": _data,
}
_BY_MEMBER: dict[str, Callable[[Block], list[Part]]] = {
    "inlineData": _file,
    "inline_data": _file,
    "fileData": _file,
    "file_data": _file,
    "image": _image,
    "document": _file,
    "video": _file,
    "guardContent": _guarded,
    "citationsContent": lambda given: content(given["citationsContent"].get("content")),
    "cachePoint": lambda _: [],
    "reasoningContent": lambda given: thinking(given["reasoningContent"]),
    "executableCode": _code,
    "json": lambda given: [Unknown(given["json"])],
}
