"""Exports of Claude.ai: `conversations.json`, also in the ZIP archive.

Messages have `parent_message_uuid` in newer exports, so that each conversation is a tree; in older ones they follow one
another. They become those of Anthropic. `projects.json` and `users.json` are left.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import archives, lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source
from amplifier.imports.readers import trees

TOOL = "claude-ai"
_ROLES = {"human": "user", "user": "user", "assistant": "assistant", "system": "system"}
_HEADS = (b'"chat_messages"', b'"uuid"')


class _Conversation(msgspec.Struct):
    chat_messages: list[msgspec.Raw]
    uuid: Any = None
    name: Any = None
    created_at: Any = None
    model: Any = None
    current_leaf_message_uuid: Any = None
    project: Any = None


class _Message(msgspec.Struct):
    uuid: Any = None
    sender: Any = None
    text: Any = None
    content: Any = None
    created_at: Any = None
    attachments: Any = None
    files: Any = None
    parent_message_uuid: Any = None


_decoder = msgspec.json.Decoder(_Conversation)
_message = msgspec.json.Decoder(_Message)
_ERRORS = (msgspec.MsgspecError, RecursionError, UnicodeError)


def places() -> list[Path]:
    """Returns nothing: exports are where their owner put them."""
    return []


def matches(path: Path, head: bytes) -> bool:
    """Returns whether the first conversation has messages as Claude.ai exports them."""
    if path.suffix.lower() != ".zip" and (path.suffix != ".json" or not any(name in head for name in _HEADS)):
        return False
    return any(archives.decoded(_decoder, text) for text in archives.first(path))


def parts(source: Source) -> Iterator[Part]:
    """Returns each conversation. Raises OSError."""
    return archives.parts(source.path, "Claude.ai", _decoder, _items)


def _items(conversation: _Conversation, where: str) -> Iterator[Item]:
    nodes: dict[str, trees.Node] = {}
    former: str | None = None
    for number, raw in enumerate(conversation.chat_messages, 1):
        try:
            found = _message.decode(raw)
        except _ERRORS:
            found = _Message()
        name = found.uuid if isinstance(found.uuid, str) and found.uuid not in nodes else f"message-{number}"
        parent = found.parent_message_uuid if isinstance(found.parent_message_uuid, str) else former
        nodes[name] = trees.Node(name, parent, bytes(raw))
        former = name
    end = conversation.current_leaf_message_uuid
    main = _session(conversation)
    convert = functools.partial(_convert, main, where)
    yield from trees.items(main, nodes, end if isinstance(end, str) else None, convert, where)


def _session(conversation: _Conversation) -> Session:
    project = conversation.project.get("name") if isinstance(conversation.project, dict) else None
    tags = {"model": conversation.model, "project": project}
    return Session(
        key=MAIN,
        source_id=lines.text(conversation.uuid, 300) or f"without-id-{lines.text(conversation.created_at, 100)}",
        title=titles.title(conversation.name),
        created_at=lines.time(conversation.created_at),
        tags={tag: text for tag, value in tags.items() if (text := lines.text(value))},
    )


def _convert(main: Session, where: str, node: trees.Node, line: Line) -> Iterator[Fault]:
    """Fills the line of a node. Yields the reason why it is no message."""
    stored, line.raw = node.raw, json_characters.restored(node.raw)
    try:
        found = _message.decode(stored)
        line.identity = msgspec.json.encode([node.id, found.sender, found.text, found.content], order="deterministic")
        role = _ROLES.get(found.sender) if isinstance(found.sender, str) else None
        if role is None:
            raise lines.Unreadable("its sender is unknown")
        line.created_at = lines.time(found.created_at)
        if content := list(_blocks(found)):
            line.message = lines.message(msgspec.json.encode({"role": role, "content": content}))
            if main.title is None and role == "user":
                main.title = titles.title(titles.said(content))
    except (*_ERRORS, lines.Unreadable) as error:
        yield Fault(0, f"{where}, message {node.id[:100]!a}: {str(error).partition(' - at ')[0]}")


def _blocks(message: _Message) -> Iterator[dict[str, Any]]:
    """Yields the content as it came, and the files that were attached: what was read of them, or their names."""
    content = [block for block in _list(message.content) if isinstance(block, dict) and block.get("type") is not None]
    if any(block.get("type") != "text" or block.get("text") for block in content):
        yield from content
    elif isinstance(message.text, str) and message.text:
        yield {"type": "text", "text": message.text}
    for file in (*_list(message.attachments), *_list(message.files)):
        name = file.get("file_name") if isinstance(file, dict) else None
        if not isinstance(name, str) or not name:
            continue
        text = file.get("extracted_content")
        if isinstance(text, str) and text:
            source = {"type": "text", "media_type": "text/plain", "data": text}
            yield {"type": "document", "title": name, "source": source}
        else:
            yield {"type": "text", "text": f"[file: {name}]"}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
