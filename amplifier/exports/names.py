"""Names of exported files, which every file system takes and none understands as a path."""

import hashlib
import re
import uuid
from collections.abc import Container

from amplifier.exports.origin import Origin
from amplifier.exports.source import Exported, FormatName

_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff/\\:*?\"<>|%~$`;&']+"
)
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_LONGEST = 120  # bytes; file systems take 255 with folders' and programs' additions
_EXTENSIONS = {
    "jsonl": "jsonl",
    "openai": "json",
    "anthropic": "json",
    "claude-code": "jsonl",
    "codex": "jsonl",
    "amplifier": "zip",
    "markdown": "md",
    "html": "html",
}


def file_name(session: Exported, name: FormatName, origin: Origin | None = None) -> str:
    """Returns the name of an exported file: the title, or what the tool demands whose format it is.

    `origin` is the file that is written again, which has its former name.
    """
    extension = _EXTENSIONS[name]
    if origin is not None and (former := origin.file_name()):
        return f"{safe(former.removesuffix('.jsonl'))}.{extension}"
    if name == "claude-code":
        return f"{session_uuid(session, name)}.{extension}"
    if name == "codex":
        return f"rollout-{session.created_at:%Y-%m-%dT%H-%M-%S}-{session_uuid(session, name)}.{extension}"
    return f"{safe(session.name)}.{extension}"


def safe(text: str) -> str:
    """Returns a text as the name of a file, without an extension. It is never empty."""
    short = " ".join(_UNSAFE.sub(" ", text).split())
    short = short.encode("utf-8", "ignore")[:_LONGEST].decode("utf-8", "ignore").strip(" .")
    if not short or _DEVICE.fullmatch(short):
        return f"session {short}".strip()
    return short


def session_uuid(session: Exported, tool: FormatName) -> str:
    """Returns the id of a session for a tool that demands a UUID: its own if it is one, else always the same for it."""
    try:
        return str(uuid.UUID(session.id_in(tool)))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, session.session_id))


def archived_name(session: Exported, name: FormatName, taken: Container[str] = (), origin: Origin | None = None) -> str:
    """Returns the name of a file among those of other sessions, which stays when the title changes."""
    if name in ("claude-code", "codex") and (wanted := file_name(session, name, origin)) not in taken:
        return wanted
    stem = safe(session.session_id)
    if stem != session.session_id or stem != stem.lower():  # another id may have the same name, in one case or another
        stem = f"{stem} {hashlib.sha256(session.session_id.encode()).hexdigest()[:12]}"
    return f"{stem}.{_EXTENSIONS[name]}"
