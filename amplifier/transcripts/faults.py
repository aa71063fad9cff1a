"""Finds what providers refuse in single messages. None of it needs a repair: it is changed in what models are sent."""

import re
from typing import NamedTuple

from amplifier.transcripts import turns
from amplifier.transcripts.findings import ANTHROPIC, BOTH, OPENAI, Problem, Provider
from amplifier.transcripts.parts import Audio, Call, File, Image, Part, Result, Text
from amplifier.transcripts.tool_calls import Pairs

_SAFE = re.compile(r"[a-zA-Z0-9_-]*")
_LONGEST_ID = 40  # of OpenAI
_LONGEST_NAME = 64  # of OpenAI; Anthropic accepts twice as many characters
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_RECORDINGS = ("audio/wav", "audio/x-wav", "audio/wave", "audio/mpeg", "audio/mp3")
_PDF = "application/pdf"


class Fault(NamedTuple):
    """A fault of the message at index `message`; `call_id` is the id of the call that it is about."""

    problem: Problem
    message: int
    call_id: str | None
    providers: tuple[Provider, ...]


def faults(pairs: Pairs) -> list[Fault]:
    """Returns the faults of the messages of a transcript, in order."""
    found: list[Fault] = []
    ids: set[str] = set()
    for index, message in enumerate(pairs.messages):
        reading = pairs.readings.get(index)
        if reading is None:
            text = message["content"]
            if not text or text.isspace():
                found.append(Fault("blank_message", index, None, ANTHROPIC))
        elif pairs.effects[index] != "left out":
            _read(found, index, reading.parts, ids)
        elif reading.role is None:
            found.append(Fault("no_message", index, None, BOTH))
        elif turns.is_placeholder(message):
            found.append(Fault("placeholder_answer", index, None, ()))
    return found


def _read(found: list[Fault], index: int, parts: list[Part], ids: set[str]) -> None:
    """Adds the faults of a message. `ids` are those of calls in earlier messages, and get those of this one."""
    says = False
    here: set[str] = set()
    for part in parts:
        kind = type(part)
        if kind is Text:
            says = says or not part.text.isspace()  # type: ignore[attr-defined]
            continue
        says = True
        if kind is Call and part.hosted is None:  # type: ignore[attr-defined]
            found += _of_call(index, part, ids, here)  # type: ignore[arg-type]
        elif kind is Result:
            for inner in part.content:  # type: ignore[attr-defined]
                _look_at(found, index, inner)
        else:
            _look_at(found, index, part)
    if not says:
        found.append(Fault("blank_message", index, None, ANTHROPIC))
    ids |= here


def _of_call(index: int, call: Call, ids: set[str], here: set[str]) -> list[Fault]:
    found: list[Fault] = []
    safe = _SAFE.fullmatch
    if call.id is not None:
        if call.id in here or call.id in ids:
            found.append(Fault("repeated_id", index, call.id, BOTH if call.id in here else ANTHROPIC))
        here.add(call.id)
        if len(call.id) > _LONGEST_ID or not safe(call.id):
            refusing = ANTHROPIC * (not safe(call.id)) + OPENAI * (len(call.id) > _LONGEST_ID)
            found.append(Fault("unusable_id", index, call.id, refusing))
    if len(call.name) > _LONGEST_NAME or not safe(call.name):
        refusing = BOTH if len(call.name) > 2 * _LONGEST_NAME or not safe(call.name) else OPENAI
        found.append(Fault("unusable_name", index, call.id, refusing))
    return found


def _look_at(found: list[Fault], index: int, part: Part) -> None:
    if isinstance(part, Image | File | Audio) and (refusing := _refusing(part)):
        found.append(Fault("unsendable_part", index, None, refusing))


def _refusing(part: Part) -> tuple[Provider, ...]:
    """Returns the providers that take an image, file or recording in no form."""
    if isinstance(part, Image):
        return () if _is_web(part.url) or (part.data and part.media_type in _IMAGES) else BOTH
    if isinstance(part, File) and not part.text:
        is_pdf = bool(part.data) and part.media_type == _PDF
        by_id = (part.file_id or "").startswith("file-")
        at_web = _is_web(part.url) and (part.media_type == _PDF or (part.url or "").lower().endswith(".pdf"))
        return ANTHROPIC * (not is_pdf and not at_web) + OPENAI * (not is_pdf and not by_id)
    if isinstance(part, Audio) and not part.transcript:
        return ANTHROPIC + OPENAI * (not part.data or part.media_type not in _RECORDINGS)
    return ()


def _is_web(url: str | None) -> bool:
    return url is not None and url.startswith(("https://", "http://"))
