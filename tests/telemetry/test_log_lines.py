"""The two forms of a line: whatever a client sends, it stays one line that every reader understands."""

import io
import json

import pytest

from amplifier.telemetry.log_lines import as_coloured_text, as_json, as_text, renderer, timestamp

BASE = {"time": "2026-01-02T03:04:05.678Z", "level": "info", "logger": "amplifier.x"}


@pytest.mark.parametrize(
    ("said", "text", "decoded"),
    [
        ("a\nb\rc\td", "a\\nb\\rc\\td", "a\nb\rc\td"),
        ("\x1b[31m\x00", "\\x1b[31m\\x00", "\x1b[31m\x00"),
        ("\ud800", "\\ud800", "\\ud800"),
        ("\x9b31m\x7f\x85", "\\x9b31m\\x7f\\x85", "\\x9b31m\\x7f\\x85"),
        ("\u2028\u202e", "\\u2028\\u202e", "\\u2028\\u202e"),
        ("Zoë 日本 🙂", "Zoë 日本 🙂", "Zoë 日本 🙂"),
        ("\U000e0001", "\\U000e0001", "\U000e0001"),
    ],
)
def test_odd_characters_are_escaped(said: str, text: str, decoded: str) -> None:
    fields = BASE | {"message": said, "user_id": said}
    assert as_text(fields).decode() == f"2026-01-02T03:04:05.678Z INFO amplifier.x: {text} user_id={text}"
    line = as_json(fields)
    assert b"\n" not in line
    assert json.loads(line) == BASE | {"message": decoded, "user_id": decoded}


def test_surrogates_within_objects_are_escaped() -> None:
    assert json.loads(as_json({"facts": {"name": "\udfff"}})) == {"facts": {"name": "\\udfff"}}


def test_exception_follows_the_line_of_text_indented() -> None:
    said = as_text(BASE | {"message": "m", "exception": "Traceback:\n  File\x1b\n2026-01-01T00:00:00.000Z INFO forged"})
    _, *rows = said.decode().splitlines()
    assert rows == ["    Traceback:", "      File\\x1b", "    2026-01-01T00:00:00.000Z INFO forged"]


def test_terminal_gets_colours_unless_it_wants_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = io.StringIO()
    assert renderer("text", terminal) is as_text
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    assert renderer("text", terminal) is as_coloured_text
    assert b"\x1b[33mWARNING\x1b[0m x" in as_coloured_text(BASE | {"level": "warning", "logger": "x", "message": ""})
    assert renderer("json", terminal) is as_json
    monkeypatch.setenv("NO_COLOR", "1")
    assert renderer("text", terminal) is as_text


def test_times_are_utc_with_milliseconds() -> None:
    assert timestamp(0.0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1767323045.6789) == "2026-01-02T03:04:05.678Z"
