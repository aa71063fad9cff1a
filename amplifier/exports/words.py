"""The words for parts that a format has no place for, and the checks of images that may be shown."""

import re

from amplifier.exports.source import as_json
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Refusal, Result, Text, Unknown

# Types of images that browsers show without running anything in them, which SVG could.
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BASE64 = re.compile(r"[A-Za-z0-9+/]++={0,2}")
_BLANK = re.compile(r"\s++")


def words(part: Part) -> str:
    """Returns a part as text; an empty text for thinking."""
    match part:
        case Text(text=text) | Refusal(text=text):
            return text
        case Unknown(value=value):
            return value if isinstance(value, str) else as_json(value)
        case Image():
            return f"[image{_place(part.url)}]"
        case File():
            named = f"[file {part.name or part.media_type or ''}".rstrip() + f"{_place(part.url)}]"
            return f"{named}\n{part.text}" if part.text else named
        case Audio():
            return part.transcript or f"[recording{_place(part.url)}]"
        case Call():
            return f"[called {part.name} with {as_json(part.arguments)}]"
        case Result():
            return f"[{part.name or 'a tool'} {'failed' if part.is_error else 'returned'}: {text_of(part.content)}]"
    return ""


def text_of(parts: list[Part]) -> str:
    """Returns parts as text, a line each."""
    return "\n".join(filter(None, map(words, parts)))


def web_address(url: str | None) -> str | None:
    """Returns an address of the web, and None for every other one."""
    return url if url and url.lower().startswith(("https://", "http://")) else None


def image_data(image: Image) -> str | None:
    """Returns the data: address of an image whose type and base64 are safe to show, else None."""
    kind = (image.media_type or "").lower()
    if not image.data or kind not in IMAGES:
        return None
    data = _BLANK.sub("", image.data)
    return f"data:{kind};base64,{data}" if _BASE64.fullmatch(data) else None


def _place(url: str | None) -> str:
    known = url if url and not url.lower().startswith("data:") else None
    return f" {known}" if known else ""
