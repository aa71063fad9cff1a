"""The format `markdown`: a document to read, with a heading for each turn and tool calls that are folded."""

from amplifier.exports import view
from amplifier.exports.markdown_text import code, fenced, line, safe
from amplifier.exports.source import Exported, Line, as_json
from amplifier.exports.words import web_address, words
from amplifier.transcripts.parts import Call, File, Image, Part, Result, Text, Thinking, Unknown


class Markdown:
    """Writes the title, and each message under its turn and speaker."""

    def __init__(self, session: Exported) -> None:
        self._session, self._headings = session, view.Headings()

    def begin(self) -> str:
        """Returns the title and the facts of the session."""
        session = self._session
        facts = f"Session {line(session.session_id)} · {session.created_at:%Y-%m-%d %H:%M} UTC"
        return f"# {line(session.name)}\n\n{facts} · {session.messages_total} messages\n"

    def add(self, line: Line) -> str:
        """Returns a message with the headings before it."""
        parts = [text for part in line.reading.parts if (text := _part(part))]
        if not parts:
            return ""
        return "".join(f"\n{text}\n" for text in [*self._before(line), *parts])

    def end(self) -> str:
        """Returns nothing."""
        return ""

    def _before(self, message: Line) -> list[str]:
        place = self._headings.of(message)
        turn = [] if place.turn is None else [f"## Turn {place.turn}"]
        if place.speaker is None:
            return turn
        return [*turn, f"### {line(place.speaker)} · {message.created_at:%Y-%m-%d %H:%M}"]


def _part(part: Part) -> str:
    match part:
        case Text(text=text):
            return safe(text).strip("\n")
        case Thinking(text=text):
            return _fold("Thinking", fenced(text)) if text else ""
        case Call():
            short = view.summary(part)
            named = f"Call {code(part.name)}" + (f" {code(short)}" if short else "")
            return _fold(named, fenced(view.arguments(part), "json"))
        case Result():
            said = "Error" if part.is_error else "Result"
            return _fold(f"{said} {code(part.name)}" if part.name else said, fenced(view.returned(part)))
        case Image(url=url) if web_address(url):
            return f"[image](<{_address(url or '')}>)"
        case File(text=text) if text:
            return _fold(f"File {code(part.name or '')}", fenced(text))
        case Unknown():
            return _fold("Data", fenced(part.value if isinstance(part.value, str) else as_json(part.value), "json"))
    return safe(words(part)).strip("\n")


def _fold(summary: str, content: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{content}\n\n</details>"


def _address(url: str) -> str:
    return "".join(letter for letter in url if letter not in "<>\\" and letter > " ")
