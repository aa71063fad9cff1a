"""Transcripts of real agents, as clients append them: session files, conversations, and the table of examples.

AGENT_SESSIONS names a folder with session files of Claude Code and Codex (`*.jsonl`) and of opencode (`message/` and
`part/`); TRANSCRIPTS a file as in `tests/end_to_end/test_main_job.py`.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.paths import DATA
from tests.transcripts.examples import FOLDER, examples

SAMPLE = DATA / "transcripts.json"
Message = dict[str, Any]


class Recording(NamedTuple):
    """A transcript and where it comes from."""

    name: str
    messages: list[Message]


def recordings() -> Iterator[Recording]:
    """Yields the examples, a transcript for each format, and then what the environment names."""
    for path in sorted(FOLDER.glob("*.json")):
        named = [example["message"] for name, example in examples() if name.startswith(f"{path.stem}/")]
        yield Recording(f"examples/{path.stem}", named)
    if folder := os.environ.get("AGENT_SESSIONS"):
        yield from sessions(Path(folder))


def conversations() -> Iterator[Recording]:
    """Yields the conversations of TRANSCRIPTS, or a small sample in several formats."""
    file = Path(os.environ.get("TRANSCRIPTS") or SAMPLE)
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    for number, entry in enumerate(json.loads(text)):
        yield Recording(f"conversations/{number}", entry.get("messages") or entry["traj"])


def sessions(folder: Path) -> Iterator[Recording]:
    """Yields the session files of a folder: lines as they are, and the messages in them."""
    for path in sorted(folder.rglob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
        name = str(path.relative_to(folder))
        yield Recording(name, lines)
        yield Recording(f"{name} unwrapped", [inner for line in lines if (inner := _inner(line)) is not None])
    for path in sorted(folder.rglob("message/*")):
        infos = sorted((json.loads(file.read_text()) for file in path.glob("*.json")), key=_created)
        parts = path.parent.parent / "part"
        yield Recording(str(path.relative_to(folder)), [{"info": info, "parts": _parts(parts, info)} for info in infos])


def _inner(line: Message) -> Message | None:
    if isinstance(line.get("message"), dict):  # Claude Code
        inner: Message = line["message"]
        return inner
    return line["payload"] if line.get("type") == "response_item" else None  # Codex


def _created(info: Message) -> Any:
    return info["time"]["created"]


def _parts(folder: Path, info: Message) -> list[Message]:
    return [json.loads(file.read_text()) for file in sorted((folder / info["id"]).glob("*.json"))]
