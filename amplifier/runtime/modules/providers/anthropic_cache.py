"""Marks where Anthropic's prompt cache may begin anew, so that a turn pays for what is new only.

The API caches the beginning of a request up to a mark: tools, then system, then messages. It takes four marks at most.
Those of clients come first; the others follow the conversation, so that each request finds what the one before wrote.
"""

from collections.abc import Iterator
from typing import Any

Block = dict[str, Any]

_KEY = "cache_control"
_MOST = 4
_UNMARKED = ("thinking", "redacted_thinking")  # types of blocks that the API refuses a mark on
_LONG = "1h"


def mark(tools: list[Block], system: list[Block], messages: list[Block], automatic: bool) -> None:
    """Marks blocks of a request in place. Without `automatic`, only clients' marks stay, at most four of them."""
    found = [block for message in messages for block in message["content"] if _KEY in block]
    marked = [block for block in [*(block for block in system if _KEY in block), *found] if _is_valid(block)]
    for block in marked[:-_MOST]:
        del block[_KEY]
    room = _MOST - len(marked)
    has_long = any(block[_KEY].get("ttl") == _LONG for block in marked[-_MOST:])
    if automatic:
        for block in _best(tools, system, messages):
            if room > 0 and _KEY not in block:
                block[_KEY] = {"type": "ephemeral"}
                room -= 1
    if has_long:
        _lengthen([*tools, *system, *(block for message in messages for block in message["content"])])


def _is_valid(block: Block) -> bool:
    """Returns whether the mark of a block is one that the API accepts. Removes another mark."""
    given = block[_KEY]
    if given.get("type") != "ephemeral" or block.get("type") in _UNMARKED:
        del block[_KEY]
        return False
    block[_KEY] = {"type": "ephemeral"} | ({"ttl": given["ttl"]} if given.get("ttl") in ("5m", _LONG) else {})
    return True


def _best(tools: list[Block], system: list[Block], messages: list[Block]) -> Iterator[Block]:
    """Yields the blocks to mark, the most useful first: the last user's message, the system, the user's before, tools.

    The mark before the last finds the cache if more than 20 blocks follow it, which is how far the API looks back.
    """
    users = [message["content"][-1] for message in messages if message["role"] == "user"]
    yield from users[-1:]
    yield from system[-1:]
    yield from users[-2:-1]
    yield from tools[-1:]


def _lengthen(blocks: list[Block]) -> None:
    """Gives marks before one of an hour the same time, because the API refuses a shorter one before a longer one."""
    is_long = False
    for block in reversed(blocks):
        given = block.get(_KEY)
        if given is not None:
            is_long = is_long or given.get("ttl") == _LONG
            if is_long:
                given["ttl"] = _LONG
