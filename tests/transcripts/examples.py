"""The table of messages in every known format, one file per format, with what each is understood as and found by.

What each provider is sent of them is in files of the same names in `sent/`. `python -m tests.transcripts.examples`
writes what the code makes of them into all files. Read the difference before you commit it: it is what changes for
stored messages.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from amplifier.transcripts.reader import read
from tests.transcripts.searched import texts
from tests.transcripts.sent import sent

FOLDER = Path(__file__).parent / "examples"
SENT = Path(__file__).parent / "sent"


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each example with its name, `format/name`."""
    for path in sorted(FOLDER.glob("*.json")):
        for example in json.loads(path.read_text()):
            yield f"{path.stem}/{example['name']}", example


def sent_examples() -> dict[str, Any]:
    """Returns what each provider is sent of each example, by its name."""
    tables = {path.stem: json.loads(path.read_text()) for path in SENT.glob("*.json")}
    return {f"{stem}/{name}": made for stem, table in tables.items() for name, made in table.items()}


def understood(message: dict[str, Any]) -> dict[str, Any]:
    """Returns the members of an example that follow from its message."""
    built: dict[str, Any] = msgspec.to_builtins(read(message))
    searched = dict(zip(("said", "called", "returned", "thought"), texts(message), strict=True))
    return {
        "role": built["role"],
        "author": built.get("author"),
        "parts": built["parts"],
        "searched": {name: text for name, text in searched.items() if text},
    }


def write() -> None:
    """Writes the members that follow from the messages into the files."""
    for path in sorted(FOLDER.glob("*.json")):
        table = [example | understood(example["message"]) for example in json.loads(path.read_text())]
        path.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
        made = {example["name"]: sent(example["message"]) for example in table}
        (SENT / path.name).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    write()
