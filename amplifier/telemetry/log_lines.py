"""The two forms of a line of the log: JSON, and text for a terminal. A line never contains a line break of a client."""

import os
import re
import time
from collections.abc import Callable
from typing import Any, TextIO, TypeAlias

import msgspec

Fields: TypeAlias = dict[str, Any]
Renderer: TypeAlias = Callable[[Fields], bytes]

_ODD = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOURS = {"debug": 36, "info": 32, "warning": 33, "error": 31, "critical": 31}
# fields that a line of text shows at its beginning, within its message, or at its end
_HIDDEN = {"time", "level", "logger", "message", "exception", "method", "route", "status"}
_encode = msgspec.json.Encoder().encode


def timestamp(seconds: float | None = None) -> str:
    """Returns a time, by default now, in UTC as RFC 3339 writes it, with milliseconds."""
    global _second
    at = time.time() if seconds is None else seconds
    whole = int(at)
    second = _second
    if whole != second[0]:
        _second = second = whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
    return f"{second[1]}.{int((at - whole) * 1000):03}Z"


_second = (0, "1970-01-01T00:00:00")


def one_line(text: str) -> str:
    """Returns the text with escapes for all that is not printable, line breaks and tabs included."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(ord(c)) for c in text)


def renderer(format_: str, stream: TextIO | None) -> Renderer:
    """Returns the renderer for a format. Text has colours if the stream is a terminal, unless NO_COLOR is set."""
    if format_ == "json":
        return as_json
    coloured = stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")
    return as_coloured_text if coloured else as_text


def as_json(fields: Fields) -> bytes:
    """Returns a JSON object. In its texts, lone surrogates and characters that a terminal obeys become escapes."""
    try:
        line = _encode(fields)
    except UnicodeEncodeError:
        return _encode(_plain(fields))
    return line if line.isascii() else _encode(_plain(fields))


def as_text(fields: Fields) -> bytes:
    """Returns `time LEVEL logger: message name=value`, and the lines of an exception below it, indented."""
    return _text(fields, fields["level"].upper())


def as_coloured_text(fields: Fields) -> bytes:
    """Returns the line of `as_text` with the level in colour."""
    return _text(fields, f"\x1b[{_COLOURS.get(fields['level'], 0)}m{fields['level'].upper()}\x1b[0m")


def _text(fields: Fields, level: str) -> bytes:
    line = f"{fields['time']} {level} {fields['logger']}: {one_line(str(fields['message']))}"
    for name, value in fields.items():
        if name not in _HIDDEN:
            line += f" {name}={one_line(str(value))}"
    for row in fields.get("exception", "").splitlines():
        line += f"\n    {one_line(row)}"
    return line.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isprintable() else _ODD.sub(_escaped, value)
    return {name: _plain(item) for name, item in value.items()} if isinstance(value, dict) else value


def _escaped(match: re.Match[str]) -> str:
    return _escape(ord(match[0]))


def _escape(code: int) -> str:
    if code in (9, 10, 13):
        return {9: "\\t", 10: "\\n", 13: "\\r"}[code]
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
