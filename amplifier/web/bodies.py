"""Base classes of the bodies of requests, which say what happens to unknown fields, and their decoder.

What is wrong with a body is put into words in misfits.py.
"""

from functools import cache
from typing import Any, ClassVar, TypeAlias

import msgspec
from msgspec import UnsetType

from amplifier import json_characters, json_numbers
from amplifier.web.misfits import UNKNOWN, odd_body

_SHOWN = 100  # characters of a name that nobody knows
_MOST = 20  # warnings in one answer

Warnings: TypeAlias = list[str] | UnsetType


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request; unknown fields are refused (422)."""


class AnyTextBody(Body):
    """A body that may contain NUL and halves of surrogate pairs.

    Its `msgspec.Raw` members are JSON as `json_characters.stored` returns it.
    """

    takes_any_text: ClassVar[bool] = True


class LenientBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that clients of the earlier service send: unknown fields are ignored.

    The answer names them in `warnings`, which its struct must have. They are forbidden to the decoder only, which so
    finds them without a second look at bodies that have none.
    """


def decode(type_: Any, body: bytes) -> tuple[Any, list[str]]:
    """Returns the body as `type_`, and a warning for each field that was ignored.

    Raises what msgspec raises, also for numbers out of range, and Problem 422 for characters that are no text, unless
    `type_` is an AnyTextBody.
    """
    if getattr(type_, "takes_any_text", False):
        body = json_characters.stored(body)
        json_numbers.check(body)
        return _decoder(type_).decode(body), []
    json_numbers.check(body)
    decoded = _decode(type_, body)
    if json_characters.has_odd(body):
        raise odd_body(body)
    return decoded


def _decode(type_: Any, body: bytes) -> tuple[Any, list[str]]:
    try:
        return _decoder(type_).decode(body), []
    except msgspec.ValidationError as error:
        if not (str(error).startswith(UNKNOWN) and issubclass(type_, LenientBody)):
            raise
    known = _decoder(_lenient(type_)).decode(body)
    return type_(*(getattr(known, name) for name in type_.__struct_fields__)), _ignored(type_, body)


def _ignored(type_: type[msgspec.Struct], body: bytes) -> list[str]:
    """Returns a warning for each unknown field of a body that is an object."""
    known = type_.__struct_encode_fields__
    names = [name for name in _decoder(dict[str, msgspec.Raw]).decode(body) if name not in known]
    listed = ", ".join(known)
    warnings = [f"Unknown field '{name[:_SHOWN]}' was ignored: known are {listed}" for name in names[:_MOST]]
    return warnings if len(names) <= _MOST else [*warnings, f"{len(names) - _MOST} more unknown fields were ignored"]


@cache
def _lenient(type_: type[msgspec.Struct]) -> type[msgspec.Struct]:
    return msgspec.defstruct(type_.__name__, [], bases=(type_,), forbid_unknown_fields=False)


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)
