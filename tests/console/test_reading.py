"""The console understands messages as the service does: the same parts, in the table of examples and in recordings."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from amplifier.transcripts.reader import read
from tests.support.paths import ROOT
from tests.support.recordings import conversations, recordings

CONSOLE = ROOT / "console"
ROLLDOWN = CONSOLE / "node_modules/.bin/rolldown"
# members that the page does not show, or that are false or absent in one and null in the other
NOT_SHOWN = {"signature", "sealed", "by", "cache_control", "hosted", "extra_content"}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None or not ROLLDOWN.exists(), reason="run `make console`"),
]


def shown(value: Any, is_part: bool = True) -> Any:
    """Returns a reading without what is not shown and what is empty."""
    if isinstance(value, list):
        return [shown(item, is_part) for item in value]
    if not isinstance(value, dict) or not is_part:
        return value
    kept = {name: inner for name, inner in value.items() if name not in NOT_SHOWN and inner not in (None, "", {}, [])}
    if "transcript" in kept:
        kept["text"] = kept.pop("transcript")
    kept = {name: shown(inner, name in ("parts", "content")) for name, inner in kept.items()}
    return {name: inner for name, inner in kept.items() if not (name == "is_error" and inner is False)}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console's reader as one module that Node runs."""
    made = tmp_path_factory.mktemp("reading") / "read.mjs"
    source = CONSOLE / "src/transcript/reading/read.ts"
    subprocess.run([ROLLDOWN, source, "--file", made], check=True, capture_output=True)
    return made


def readings(reader: Path, messages: list[Any]) -> list[Any]:
    """Returns what the console makes of the messages."""
    command = ["node", str(ROOT / "tests/console/reading.mjs"), str(reader)]
    made = subprocess.run(command, input=json.dumps(messages), check=True, capture_output=True, text=True)
    found: list[Any] = json.loads(made.stdout)
    return found


def test_console_reads_what_the_service_reads(reader: Path) -> None:
    messages = [message for recording in (*recordings(), *conversations()) for message in recording.messages]
    for message, made in zip(messages, readings(reader, messages), strict=True):
        text = json.dumps(msgspec.to_builtins(read(message)))
        known = json.loads(text, parse_int=lambda digits: int(float(digits)))  # numbers of JavaScript
        assert shown(made) == shown(known), message


def test_unusual_messages_are_read_without_error(reader: Path) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    unusual = [{}, {"role": "user", "content": deep}, {"role": "constructor"}, {"type": "__proto__", "content": 1}]
    made = readings(reader, [*unusual, {"role": "user", "content": [{"type": "toString"}, None, 1, True]}])
    assert [one["role"] for one in made] == [None, "user", "user", None, "user"]
    assert [part["type"] for part in made[4]["parts"]] == ["unknown"] * 3
