"""The images, files and recordings that the APIs accept."""

import base64
import binascii
import re

from amplifier.transcripts.parts import File

IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
RECORDINGS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}

_BASE64 = re.compile(r"\s*+[A-Za-z0-9+/][A-Za-z0-9+/\s]*+={0,2}\s*+")
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml", "application/x-yaml"})


def web_address(url: str | None) -> str | None:
    """Returns an address if a provider can read it."""
    return url if url and url.startswith(("https://", "http://")) else None


def has_bytes(data: str | None) -> bool:
    """Returns whether data is base64 and holds anything. Other data is refused by every provider."""
    return data is not None and _BASE64.fullmatch(data) is not None


def with_text(file: File) -> File:
    """Returns a file of text that is given as base64 with its text, and every other file as it is."""
    kind = (file.media_type or "").split(";")[0].strip().lower()
    if file.text is not None or not file.data or not (kind.startswith("text/") or kind in _TEXTS):
        return file
    try:
        text = base64.b64decode(file.data, validate=True).decode()
    except (binascii.Error, ValueError):
        return file
    return File(file.name, file.media_type, text=text, cache_control=file.cache_control)
