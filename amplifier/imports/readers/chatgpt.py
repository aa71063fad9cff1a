"""Exports of ChatGPT: `conversations.json`, also in several parts and in the ZIP archive.

Each conversation is a tree (`mapping`) with a present end (`current_node`). Its messages become those of OpenAI chat.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier import json_characters
from amplifier.imports import archives, lines, titles
from amplifier.imports.items import MAIN, Fault, Item, Line, Part, Session, Source
from amplifier.imports.readers import chatgpt_content, trees

TOOL = "chatgpt"


class _Conversation(msgspec.Struct):
    mapping: dict[str, msgspec.Raw]
    id: Any = None
    conversation_id: Any = None
    title: Any = None
    create_time: Any = None
    current_node: Any = None
    default_model_slug: Any = None
    gizmo_id: Any = None


class _Node(msgspec.Struct):
    parent: Any = None
    message: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(_Conversation)
_node = msgspec.json.Decoder(_Node)
_ERRORS = (msgspec.MsgspecError, RecursionError, UnicodeError)


def places() -> list[Path]:
    """Returns nothing: exports are where their owner put them."""
    return []


def matches(path: Path, head: bytes) -> bool:
    """Returns whether the first conversation is a tree of ChatGPT."""
    if path.suffix.lower() != ".zip" and (path.suffix != ".json" or b'"mapping"' not in head):
        return False
    return any(archives.decoded(_decoder, text) for text in archives.first(path))


def parts(source: Source) -> Iterator[Part]:
    """Returns each conversation. Raises OSError."""
    return archives.parts(source.path, "ChatGPT", _decoder, _items)


def _items(conversation: _Conversation, where: str) -> Iterator[Item]:
    nodes: dict[str, trees.Node] = {}
    for name, raw in conversation.mapping.items():
        try:
            node = _node.decode(raw)
        except _ERRORS:
            node = _Node(message=raw)
        parent = node.parent if isinstance(node.parent, str) else None
        nodes[name] = trees.Node(name, parent, bytes(node.message) or b"null")
    end = conversation.current_node if isinstance(conversation.current_node, str) else None
    main = _session(conversation, nodes)
    yield from trees.items(main, nodes, end, _Converter(main, where).convert, where)


def _session(conversation: _Conversation, nodes: dict[str, trees.Node]) -> Session:
    name = lines.text(conversation.conversation_id, 300) or lines.text(conversation.id, 300)
    tags = {"model": conversation.default_model_slug, "agent": conversation.gizmo_id}
    return Session(
        key=MAIN,
        source_id=name or f"without-id-{lines.text(next(iter(nodes), None), 100)}",
        title=titles.title(conversation.title),
        created_at=lines.time(conversation.create_time),
        tags={tag: text for tag, value in tags.items() if (text := lines.text(value))},
    )


class _Converter:
    """Makes messages of the nodes of a conversation, in the order of a branch."""

    def __init__(self, main: Session, where: str) -> None:
        self._main, self._where = main, where
        self._calls: dict[str, str] = {}  # the last call of each tool

    def convert(self, node: trees.Node, line: Line) -> Iterator[Fault]:
        """Fills the line of a node. Yields the reason why it is no message."""
        stored, line.raw = node.raw, json_characters.restored(node.raw)
        if stored == b"null":
            return
        try:
            found = chatgpt_content.decoded(stored)
            line.identity = chatgpt_content.identity(node.id, found)
            message = chatgpt_content.message(found, node.id, self._calls)
            line.created_at = lines.time(found.create_time)
            if message is not None:
                line.message = lines.message(msgspec.json.encode(message))
        except (*_ERRORS, lines.Unreadable) as error:
            yield Fault(0, f"{self._where}, message {node.id[:100]!a}: {str(error).partition(' - at ')[0]}")
            return
        if message is not None and message["role"] == "user" and self._main.title is None:
            self._main.title = titles.title(titles.said(message["content"]))
        model = found.metadata.get("model_slug") if isinstance(found.metadata, dict) else None
        if line.session == MAIN and (slug := lines.text(model)):
            self._main.tags["model"] = slug
