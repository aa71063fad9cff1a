"""Pages of a transcript that fit into a model's context, as structs and as Markdown."""

from collections.abc import Iterable
from datetime import datetime
from urllib.parse import quote, unquote

import msgspec

from amplifier.errors import Problem
from amplifier.live.frames import Entry
from amplifier.mcp.message_text import said
from amplifier.transcripts.parts import Role
from amplifier.web.request import Request
from amplifier.web.transcript_view import read, read_backwards

MAX_CHARACTERS = 200_000
SCHEME = "session://"
_NEWEST = 2**63 - 1
_RESOURCE_MESSAGES, _RESOURCE_CHARACTERS = 500, 100_000
_BYTES_PER_CHARACTER = 8  # of JSON, in which a text is read: with names, ids and escapes
_LEAST_BYTES = 256 * 1024

_CUT = "Message {} is cut: repeat the call with after={}, limit=1 and max_characters up to 200000 to read more of it."
_OLDER = "Older messages did not fit: raise max_characters, or read them with `after`."


class Message(msgspec.Struct):
    """A message as text. `name` is its speaker, if the message gives one."""

    seq: int
    role: Role | None
    author_user_id: str
    name: str | None
    created_at: datetime
    text: str


class TranscriptPage(msgspec.Struct):
    """Messages in their order. `next` is the `after` of the following page, null at the end."""

    session_id: str
    last_seq: int
    messages: list[Message]
    next: int | None
    notice: str | None = None


async def page_after(request: Request, session_id: str, after: int, limit: int, characters: int) -> TranscriptPage:
    """Returns the messages after a number that fit, at least one. Raises Problem 404."""
    found = await read(request, session_id, after, limit, max_bytes=_bytes(characters))
    messages, notice = _fitting(found.messages, characters)
    is_whole = len(messages) == len(found.messages)
    following = found.next if is_whole else messages[-1].seq
    return TranscriptPage(session_id, found.last_seq, messages, following, notice)


async def last_page(request: Request, session_id: str, last: int, characters: int) -> TranscriptPage:
    """Returns the last messages that fit, at least one, in their order. Raises Problem 404."""
    found = await read_backwards(request, session_id, _NEWEST, last, max_bytes=_bytes(characters))
    messages, notice = _fitting(found.messages, characters)
    if notice is None and (len(messages) < len(found.messages) or (found.next is not None and len(messages) < last)):
        notice = _OLDER
    return TranscriptPage(session_id, found.last_seq, messages[::-1], None, notice)


def address(session_id: str) -> str:
    """Returns the URI of a session's resource."""
    return SCHEME + quote(session_id, safe="")


async def markdown(request: Request, uri: str) -> str:
    """Returns the newest messages of the session that a URI names, as Markdown. Raises Problem 404."""
    session_id = unquote(uri.removeprefix(SCHEME))
    if not uri.startswith(SCHEME) or not session_id:
        raise Problem(404, "Resource not found: addresses have the form session://SESSION_ID")
    row = await request.queries.sessions.get(actor_id=request.caller.user_id, session_id=session_id)
    if row is None:
        raise Problem(404, "Session not found")
    page = await last_page(request, session_id, _RESOURCE_MESSAGES, _RESOURCE_CHARACTERS)
    first = page.messages[0].seq if page.messages else 1
    cut = [f"*Message {first} and later ones; the tool read_transcript reads earlier ones.*"] if page.notice else []
    title = " ".join((row["title"] or session_id).split())
    return "\n\n".join([f"# {title}", *cut, *map(_section, page.messages)]) + "\n"


def _bytes(characters: int) -> int:
    return max(_LEAST_BYTES, characters * _BYTES_PER_CHARACTER)


def _fitting(entries: Iterable[Entry], characters: int) -> tuple[list[Message], str | None]:
    """Returns the first messages that fit, and the notice if the first one alone does not: it is cut then."""
    messages: list[Message] = []
    for entry in entries:
        role, name, text = said(entry.message)
        if len(text) > characters:
            if messages:
                break
            text = f"{text[:characters]}…"
            message = Message(entry.seq, role, entry.author_user_id, name, entry.created_at, text)
            return [message], _CUT.format(entry.seq, entry.seq - 1)
        characters -= len(text)
        messages.append(Message(entry.seq, role, entry.author_user_id, name, entry.created_at, text))
    return messages, None


def _section(message: Message) -> str:
    names = (message.role, message.author_user_id, message.name)
    circumstances = " · ".join(filter(None, (f"{message.seq}", *names, f"{message.created_at:%Y-%m-%d %H:%M} UTC")))
    return f"## {circumstances}\n\n{message.text}"
