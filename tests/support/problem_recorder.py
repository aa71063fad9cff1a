"""Records the problem documents that routes answer with, as examples for the OpenAPI document.

The environment variable ERROR_EXAMPLES names the folder. Each process appends to a file of its own. Random ids, times
and waits are replaced by fixed ones, so that two runs record the same, and limits that tests shorten by the usual ones.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

REQUEST_ID = "5d0c5cf6d5cb4a2ebf8f1b7f0f0e4c11"
_RANDOM_CALLS = "tests/end_to_end/"  # tests that send other requests in each run
_LONGEST = 2000  # characters of an example
_IDS = (
    "c3d1c1e2-9a1f-4a53-8a7e-2f60a7c4b8e9",
    "0f7c2b64-5d0e-4c1b-9d53-1f6a7e2c9b40",
    "7a4e9d18-3c62-4f0a-b1d7-6e85c20f9a3d",
)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REPLACED = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "2026-05-20T10:00:00.512000Z"),
    (re.compile(r"app_[0-9a-f]{16}"), "app_0123456789abcdef"),
    (re.compile(r"wait \d+ s"), "wait 12 s"),
    (re.compile(r"[\d.]+ s \(RUN_TIMEOUT\)"), "600 s (RUN_TIMEOUT)"),
    (re.compile(r"[\d.]+ s \(RUN_MODEL_TIMEOUT\)"), "300 s (RUN_MODEL_TIMEOUT)"),
    (re.compile(r"You have \d+ streams open"), "You have 100 streams open"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:8765"),
]


class Recorded(NamedTuple):
    """A problem document of an operation, without the members that follow from its status."""

    operation: str
    status: int
    example: str  # as JSON


def record(operation: str, status: int, problem: dict[str, Any]) -> None:
    """Appends the problem to the file of this process if ERROR_EXAMPLES is set, once in each process."""
    folder = os.environ.get("ERROR_EXAMPLES")
    if not folder or os.environ.get("PYTEST_CURRENT_TEST", "").startswith(_RANDOM_CALLS):
        return
    example = normal(problem)
    if len(example) <= _LONGEST:
        _append(Path(folder), Recorded(operation, status, example))


def recorded(folder: Path) -> set[Recorded]:
    """Returns what all processes recorded in a folder."""
    lines = (line for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines())
    return {Recorded(*json.loads(line)) for line in lines}


def normal(problem: dict[str, Any]) -> str:
    """Returns the members of a problem that do not follow from its status as JSON, with fixed ids and times."""
    members = {name: value for name, value in problem.items() if name not in ("type", "title", "status")}
    if "request_id" in members:
        members["request_id"] = REQUEST_ID
    text = json.dumps(members, sort_keys=True, ensure_ascii=False)
    known: dict[str, str] = {}
    text = _ID.sub(lambda match: known.setdefault(match[0], _IDS[len(known) % len(_IDS)]), text)
    for pattern, fixed in _REPLACED:
        text = pattern.sub(fixed, text)
    return text


@cache
def _append(folder: Path, one: Recorded) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{os.getpid()}.jsonl").open("a") as file:
        file.write(json.dumps(one) + "\n")
