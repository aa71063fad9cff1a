"""Session files of real agents and real conversations are read: how many messages of each role, with which parts.

The files are those that AGENT_SESSIONS and TRANSCRIPTS name, see `tests/support/recordings.py`.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import pytest

from amplifier.transcripts.reader import read
from tests.queries.test_search_formats import differences
from tests.support.recordings import Recording, conversations, recordings

# roles and parts with their numbers; entries that are no part of the conversation have neither
COUNTS = {
    "claude/continued.jsonl": "assistant text 1, user text 2",
    "claude/conversation.jsonl": "assistant call 2, assistant text 3, none 1, tool result 2, user text 4",
    "claude/small.jsonl": "assistant 1, assistant call+text+thinking 3, assistant text 4, assistant thinking 3,"
    " none 68, tool result 3, user image+text 1, user text 6",
    "claude/tools.jsonl": "assistant call 1, assistant call+text 1, assistant text 1, none 1, tool result 2,"
    " user text 2",
    "codex/large.jsonl": "assistant call 1, assistant text 7, none 4, tool result 1, user text 7",
    "codex/small.jsonl": "assistant call 7, assistant call+result 1, assistant text 2, assistant text+unknown 1,"
    " assistant thinking 2, developer text 1, none 97, tool result 6, user text 1",
    "opencode/storage_v2/message/s_stage0_large": "assistant call+file+result+text+thinking+unknown 1,"
    " assistant text 1, user text 2",
    "opencode/storage_v2/message/s_stage0_small": "assistant call+result+text 1, user text 1",
}
AIRLINE = "assistant call 1074, assistant call+text 90, assistant text 1290, system text 200, tool result 1164,"
AIRLINE += " user text 1490"


def counted(given: Iterable[Recording]) -> str:
    """Returns how many messages have which role and parts."""
    found: Counter[str] = Counter()
    for message in (message for recording in given for message in recording.messages):
        reading = read(message)
        kinds = "+".join(sorted({type(part).__name__.lower() for part in reading.parts}))
        found[f"{reading.role} {kinds}".strip() if reading.role else "none"] += 1
    return ", ".join(f"{name} {number}" for name, number in sorted(found.items()))


@pytest.mark.skipif("AGENT_SESSIONS" not in os.environ, reason="needs session files")
@pytest.mark.parametrize("name", COUNTS)
def test_each_line_of_session_file_has_its_role_and_parts(name: str) -> None:
    mine = [recording for recording in recordings() if recording.name == name]
    if not mine:
        pytest.skip("other session files")
    assert counted(mine) == COUNTS[name]


@pytest.mark.skipif("airline" not in os.environ.get("TRANSCRIPTS", ""), reason="needs the conversations about flights")
def test_each_message_of_conversations_has_its_role_and_parts() -> None:
    assert counted(conversations()) == AIRLINE


@pytest.mark.slow
def test_database_reads_recordings_as_the_reader(sql: Callable[..., list[Any]]) -> None:
    found = {
        recording.name: differing
        for recording in [*recordings(), *islice(conversations(), 20)]
        for message in recording.messages
        if (differing := differences(sql, message))
    }
    assert found == {}
