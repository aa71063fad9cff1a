"""Reads the images, files and recordings of messages. Writes none."""

import re
from typing import Any

from amplifier.transcripts.parts import Audio, File, Image, Part

Block = dict[str, Any]

_DATA = re.compile(r"data:([^;,]*+)(?:;[^;,]*+)*?;base64,", re.IGNORECASE)
_PREFIXES = ("data:", "http://", "https://")  # of addresses where base64 should be
_BEGINNINGS = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}  # of base64
_SOURCES: tuple[str, ...] = ("source", "file", "image_url", "input_audio", "audio", "inlineData", "inline_data")
_SOURCES += ("fileData", "file_data", "image", "document", "video", "resource", "s3Location")
_TYPES = ("media_type", "mediaType", "mimeType", "mime_type", "mime")
_ADDRESSES: tuple[str, ...] = ("url", "uri", "fileUri", "file_uri", "image_url", "file_url", "document_url")
_ADDRESSES += (
    "audio_url",
    "image",
    "file",
    "source",
)
_CONTENTS = ("data", "bytes", "base64", "file_data", "raw", "input_audio")
_NAMES = ("name", "filename", "fileName", "document_name", "title", "display_name", "displayName")
_FORMATS = {"pdf": "application/pdf", "csv": "text/csv", "html": "text/html", "txt": "text/plain"}


def image(block: Block) -> Image:
    """Reads a block with an image."""
    levels = _levels(block)
    media_type, url, data = _place(levels, "image")
    if media_type is None and data is not None:
        media_type = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)
    return Image(media_type, url, data, _first(levels, ("file_id",)))


def file(block: Block) -> Part:
    """Reads a block with a file. An image or a recording sent as a file becomes one."""
    levels = _levels(block)
    media_type, url, data = _place(levels, None)
    if media_type and media_type.startswith("image/"):
        return Image(media_type, url, data, _first(levels, ("file_id",)))
    if media_type and media_type.startswith("audio/"):
        return Audio(media_type, url, data)
    given = _first(levels, _CONTENTS)
    text = _text(levels[0], None if given is None or given.startswith(_PREFIXES) else given)
    name = _first(levels, _NAMES)
    return File(name, media_type, url, None if text else data, _first(levels, ("file_id",)), text)


def audio(block: Block) -> Audio:
    """Reads a block with a recording."""
    levels = _levels(block)
    media_type, url, data = _place(levels, "audio")
    return Audio(media_type, url, data, _first(levels, ("transcript",)))


def is_empty(part: Part) -> bool:
    """Returns whether nothing of an image, file or recording was found but its name and type."""
    return not any(getattr(part, name, None) for name in ("url", "data", "file_id", "text", "transcript"))


def _levels(block: Block) -> list[Block]:
    """Returns the block and the objects in it that hold the content, such as the value of `source`, innermost first."""
    levels = [block]
    while inner := next((levels[0][key] for key in _SOURCES if isinstance(levels[0].get(key), dict)), None):
        levels.insert(0, inner)
    return levels


def _place(levels: list[Block], kind: str | None) -> tuple[str | None, str | None, str | None]:
    """Returns the media type, the address and the base64 of a source; one of the last two is None."""
    media_type, address = _first(levels, _TYPES), _first(levels, _ADDRESSES)
    form, data = _first(levels, ("format",)), _first(levels, _CONTENTS)
    if media_type is None and form:
        media_type = f"{kind}/{form}" if kind else _FORMATS.get(form)
    given = data if data is not None and data.startswith(_PREFIXES) else address
    if given is not None and (match := _DATA.match(given)):
        return media_type or match[1] or None, None, given[match.end() :]
    return (media_type, given, None) if data is None or given == data else (media_type, None, data)


def _text(source: Block, data: str | None) -> str | None:
    """Returns the content of a document that is given as text."""
    if isinstance(text := source.get("text"), str):
        return text
    if source.get("type") == "text":
        return data
    content = source.get("content")
    if isinstance(content, list):
        texts = [item["text"] for item in content if isinstance(item, dict) and isinstance(item.get("text"), str)]
        return "\n".join(texts) or None
    return content if isinstance(content, str) else None


def _first(levels: list[Block], keys: tuple[str, ...]) -> str | None:
    found = (block[key] for block in levels for key in keys if isinstance(block.get(key), str) and block[key])
    return next(found, None)
