"""Names of exported files: safe on every system, and what the tools demand."""

import unicodedata
import uuid
from pathlib import PurePosixPath, PureWindowsPath

import pytest

from amplifier.exports.names import file_name, safe
from tests.exports.documents import SESSION_ID, session

TITLES = [
    "../../etc/passwd",
    "..\\..\\windows\\system32",
    "C:\\x",
    "~/x",
    "/",
    ".",
    "..",
    "...",
    "",
    "con",
    "NUL.txt",
    "com1",
    "a\nb\r\tc",
    "a\x00b",
    "photo\u202egpj.exe",
    "$(rm -rf x)`;&",
    'a"b; filename=c',
    "x" * 5000,
    "é" * 5000,
    "\ud83d",
    "trailing. ",
    "%2e%2e%2f",
]


@pytest.mark.parametrize("title", TITLES)
def test_title_is_no_path_and_no_command(title: str) -> None:
    name = safe(title)
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert 0 < len(name.encode()) <= 140
    assert not PureWindowsPath(name).is_reserved() if hasattr(PureWindowsPath, "is_reserved") else True
    assert not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs") or letter in "\"'`$;&%~*?<>|" for letter in name)
    assert name.strip(" .") == name


def test_usual_titles_stay() -> None:
    assert file_name(session("Flug nach Genève 10 €"), "markdown") == "Flug nach Genève 10 €.md"
    assert file_name(session(None), "html") == f"{SESSION_ID}.html"
    assert file_name(session("../x"), "jsonl") == ".. x.jsonl".strip(". ")


def test_tools_get_the_names_that_they_look_for() -> None:
    assert file_name(session(), "claude-code") == f"{SESSION_ID}.jsonl"
    assert file_name(session(), "codex") == f"rollout-2026-03-04T05-06-07-{SESSION_ID}.jsonl"
    imported = session(external_id="claude-code:0b9d7f8e-1111-4222-8333-444455556666")
    assert file_name(imported, "claude-code") == "0b9d7f8e-1111-4222-8333-444455556666.jsonl"
    assert file_name(imported, "codex").endswith(f"{SESSION_ID}.jsonl")
    name = file_name(session(session_id="../x", external_id="claude-code:../y"), "claude-code").removesuffix(".jsonl")
    assert str(uuid.UUID(name)) == name
