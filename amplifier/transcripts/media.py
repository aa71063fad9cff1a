"""Reads the images, files and recordings of messages. Writes none."""

import re
from typing import Any

from amplifier.transcripts.parts import Audio, File, Image, Part

Block = dict[str, Any]

_DATA = re.compile(r"data:([^;,]*)[^,]*?;base64,", re.IGNORECASE)
_BEGINNINGS = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}  # of base64
_SOURCES = ("source", "file", "image_url", "input_audio", "audio", "inlineData", "inline_data", "fileData", "file_data")
_TYPES = ("media_type", "mediaType", "mimeType", "mime_type", "mime")
_ADDRESSES = ("url", "uri", "fileUri", "file_uri", "image_url", "file_url", "document_url", "image", "file")
_CONTENTS = ("data", "bytes", "base64", "file_data", "raw")
_NAMES = ("name", "filename", "fileName", "title", "display_name", "displayName")


def image(block: Block) -> Image:
    """Reads a block with an image."""
    source = _source(block)
    media_type, url, data = _place(source)
    if media_type is None and isinstance(form := source.get("format", block.get("format")), str):
        media_type = f"image/{form}"
    if media_type is None and data is not None:
        media_type = next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), None)
    return Image(media_type, url, data, _first(source, ("file_id",)) or _first(block, ("file_id",)))


def file(block: Block) -> Part:
    """Reads a block with a file. An image or a recording sent as a file becomes one."""
    source = _source(block)
    media_type, url, data = _place(source)
    if media_type is None:
        media_type = _first(block, _TYPES)
    if media_type and media_type.startswith("image/"):
        return Image(media_type, url, data)
    if media_type and media_type.startswith("audio/"):
        return Audio(media_type, url, data)
    name = _first(source, _NAMES) or _first(block, _NAMES)
    text = _text(source, data)
    return File(name, media_type, url, None if text else data, _first(source, ("file_id", "id")), text)


def audio(block: Block) -> Audio:
    """Reads a block with a recording."""
    source = _source(block)
    media_type, url, data = _place(source)
    if media_type is None and isinstance(form := source.get("format"), str):
        media_type = f"audio/{form}"
    return Audio(media_type, url, data, _first(source, ("transcript",)))


def _source(block: Block) -> Block:
    """Returns the object with the content: the value of `source` and the like, or the block itself."""
    for key in _SOURCES:
        if isinstance(inner := block.get(key), dict):
            return inner
    return block


def _place(source: Block) -> tuple[str | None, str | None, str | None]:
    """Returns the media type, the address and the base64 of a source; one of the last two is None."""
    media_type, address = _first(source, _TYPES), _first(source, _ADDRESSES)
    data = _first(source, _CONTENTS)
    given = data if data is not None and data.startswith("data:") else address
    if given is not None and (match := _DATA.match(given)):
        return media_type or match[1] or None, None, given[match.end() :]
    if data is not None:
        return media_type, None, data
    return media_type, address, None


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


def _first(block: Block, keys: tuple[str, ...]) -> str | None:
    return next((block[key] for key in keys if isinstance(block.get(key), str) and block[key]), None)
