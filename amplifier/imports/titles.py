"""Titles of sessions that have none: the beginning of what was asked first."""

import re
from typing import Any

from amplifier.imports.lines import text

LONGEST = 100
_SPACE = re.compile(r"\s+")
# what tools write in the name of their user
_NOT_SAID = ("<", "Caveat:", "[Request interrupted", "# AGENTS.md", "This session is being continued")


def said(content: Any) -> str | None:
    """Returns the text of a prompt in a message's content, or None if a tool wrote it."""
    texts = [content] if isinstance(content, str) else []
    if isinstance(content, list):
        for block in content:
            if isinstance(block, dict) and block.get("type") in ("tool_result", "function_call_output"):
                return None
            if isinstance(block, dict) and isinstance(block.get("text"), str):
                texts.append(block["text"])
    for one in texts:
        if one.strip() and not one.lstrip().startswith(_NOT_SAID):
            return one
    return None


def title(prompt: Any) -> str | None:
    """Returns the beginning of a text as a title, in one line, or None."""
    line = text(prompt, 1000)
    if line is None:
        return None
    line = _SPACE.sub(" ", line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1].rstrip()}…"
