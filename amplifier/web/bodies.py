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
_MOST_MEMBERS = 20_000  # that are looked at for names; 700,000 in 8 MB would take a quarter of a second

Warnings: TypeAlias = list[str] | UnsetType


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request; unknown fields are refused (422)."""


class MergePatch(Body):
    """A JSON merge patch (RFC 7396), sent as `application/merge-patch+json`."""


class MessagesBody(Body):
    """A body whose member `messages` is an array of any JSON objects, as `msgspec.Raw`.

    It may contain NUL and halves of surrogate pairs; its JSON is as `json_characters.stored` returns it.
    """

    has_messages: ClassVar[bool] = True


class LenientBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request that clients of the earlier service send: unknown fields are ignored.

    The answer names them in `warnings`, which its struct must have. They are forbidden to the decoder only, which so
    finds them without a second look at bodies that have none.
    """


def decode(type_: Any, body: bytes) -> tuple[Any, list[str]]:
    """Returns the body as `type_`, and a warning for each field that was ignored.

    Raises what msgspec raises, also for numbers out of range, and Problem 422 for characters that are no text, unless
    `type_` is a MessagesBody.
    """
    if has_messages(type_):
        body = json_characters.stored(body)
        json_numbers.check(body)
        return _decoder(type_).decode(body), []
    json_numbers.check(body)
    decoded = _decode(type_, body)
    # ignored fields may have them
    if json_characters.has_odd(body) and json_characters.has_odd(msgspec.json.encode(decoded[0])):
        raise odd_body(body)
    return decoded


def has_messages(type_: Any) -> bool:
    """Returns whether the type of a body is a MessagesBody."""
    return getattr(type_, "has_messages", False)


def _decode(type_: Any, body: bytes) -> tuple[Any, list[str]]:
    try:
        return _decoder(type_).decode(body), []
    except msgspec.ValidationError as error:
        first = str(error).removeprefix(UNKNOWN).removesuffix("`")
        if first == str(error) or not issubclass(type_, LenientBody):
            raise
    known = _decoder(_lenient(type_)).decode(body)
    return type_(*(getattr(known, name) for name in type_.__struct_fields__)), _ignored(type_, body, first)


def _ignored(type_: type[msgspec.Struct], body: bytes, first: str) -> list[str]:
    """Returns a warning for each unknown field of a body that is an object; `first` is the first of them.

    Of a body that may have very many members it names only this one.
    """
    known, names, rest = type_.__struct_encode_fields__, [first], "Other unknown fields were not looked for"
    if body.count(b":") <= _MOST_MEMBERS:
        names = [name for name in _decoder(dict[str, msgspec.Raw]).decode(body) if name not in known]
        rest = f"{len(names) - _MOST} more unknown fields were ignored" if len(names) > _MOST else ""
    listed = ", ".join(known)
    warnings = [f"Unknown field '{name[:_SHOWN]}' was ignored: known are {listed}" for name in names[:_MOST]]
    return [*warnings, rest] if rest else warnings


@cache
def _lenient(type_: type[msgspec.Struct]) -> type[msgspec.Struct]:
    return msgspec.defstruct(type_.__name__, [], bases=(type_,), forbid_unknown_fields=False)


@cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)
