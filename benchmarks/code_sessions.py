"""Sessions about code, made from the sources of Python's standard library, the same on each machine with that Python.

In each a user asks about functions of one module, and an agent searches, reads, edits and runs them. No text is
invented but the requests: docstrings, comments, source lines, errors that are raised.
"""

import ast
import json
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDERS = (".", "asyncio", "concurrent/futures", "email", "http", "importlib", "json", "logging", "unittest", "xml/dom")
FUNCTIONS = 7  # of a session at most
LINES = 60  # of a tool's result at most
COMMENT = re.compile(r"^\s*#+ ?(.*)$", re.MULTILINE)
_REQUESTS = ("Where is {name} used, and is it right that: {text}", "{name} should do this: {text}", "Explain {name}.")
_THANKS = ("thanks", "ok", "Good, go on.", "Please check once more.")

Message = dict[str, Any]
Function = ast.FunctionDef | ast.AsyncFunctionDef


def code_sessions(seed: int = 20261130) -> list[list[Message]]:
    """Returns the messages of each session, one session for each module that has documented functions."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = [file for name in FOLDERS for file in sorted((folder / name).glob("*.py"))]
    made = (_session(file.relative_to(folder), file.read_text(errors="replace"), seed) for file in files)
    return [messages for messages in made if len(messages) > 3]


def _session(path: Path, source: str, seed: int) -> list[Message]:
    drawn, tree = random.Random(f"{seed} {path}"), ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, Function) and ast.get_docstring(node)]
    messages: list[Message] = [{"role": "system", "content": f"You help with {path}. {ast.get_docstring(tree) or ''}"}]
    for function in drawn.sample(functions, min(FUNCTIONS, len(functions))):
        messages += _talk(drawn, path, source.splitlines(), function)
    return messages


def _talk(drawn: random.Random, path: Path, lines: list[str], function: Function) -> Iterator[Message]:
    """Yields a request, the steps that the agent takes, and its answer."""
    name, text = function.name, ast.get_docstring(function) or ""
    body = lines[function.lineno - 1 : min(function.end_lineno or function.lineno, function.lineno + LINES)]
    places = [f"{path}:{number}:{line}" for number, line in enumerate(lines, 1) if name in line]
    yield {"role": "user", "content": drawn.choice(_REQUESTS).format(name=name, text=text.split("\n\n")[0])}
    yield from _step("grep", {"pattern": name, "path": str(path)}, "\n".join(places[:20]))
    numbered = "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(body, function.lineno))
    yield from _step("read_file", {"path": str(path), "offset": function.lineno, "limit": LINES}, numbered)
    if drawn.random() < 0.4:
        place = drawn.randrange(len(body))
        old = "\n".join(body[place : place + 4])
        yield from _step("edit", {"path": str(path), "old": old, "new": old.replace(name, f"{name}_new")}, "ok")
    if raised := [node for node in ast.walk(function) if isinstance(node, ast.Raise) and node.exc is not None]:
        error = drawn.choice(raised)
        frame = f'  File "{path}", line {error.lineno}, in {name}\n    {lines[error.lineno - 1].strip()}'
        shown = f"Traceback (most recent call last):\n{frame}\n{ast.unparse(error.exc or error)}"
        yield from _step("shell", {"command": f"python -m unittest test.test_{path.stem} -k {name}"}, shown)
    said = " ".join([text, *COMMENT.findall("\n".join(body))])
    yield {"role": "assistant", "content": f"{name}: {said}"}
    yield {"role": "user", "content": drawn.choice(_THANKS)}


def _step(tool: str, arguments: dict[str, Any], result: str) -> Iterator[Message]:
    """Yields a tool's call and its result."""
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": json.dumps(arguments)}}
    yield {"role": "assistant", "content": None, "tool_calls": [call]}
    yield {"role": "tool", "tool_call_id": "call_1", "name": tool, "content": result}
