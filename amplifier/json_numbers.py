"""Handles numbers in JSON that some readers cannot represent: refuses them in requests, and reads them if stored.

PostgreSQL stores a hundred thousand digits, Python's float ends below 1e309, and Python parses integers of at most
4,300 digits.
"""

import json
import math
import re
from typing import Any

import msgspec

from amplifier import json_characters

# With a larger exponent, a few bytes would be stored and returned as a hundred thousand digits; below 1e-324 as
# thousands of zeros.
_LARGE_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3}")
_MOST_DIGITS = 308  # every integer with so many digits is within the range of floats
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_ZEROS = b"0" * (_MOST_DIGITS + 1)
# Matches up to the next long integer in valid JSON, past texts and the digits of fractions and exponents. No part can
# match the same bytes in two ways, and all quantifiers are possessive: the time is linear in the length of the text.
_LONG_INTEGER = re.compile(
    rb'(?:[^"0-9.eE]++|"(?:[^"\\]++|\\.)*+"|[.eE][-+]?[0-9]*+|[0-9]{1,%d}+(?![0-9]))*+([0-9]++)([.eE][-+0-9.eE]*+)?'
    % _MOST_DIGITS,
    re.DOTALL,
)


def check(text: bytes) -> None:
    """Raises msgspec.ValidationError for a number that is too large or too small for a float.

    Parses the JSON only if it may have such a number. Raises DecodeError if it parses invalid JSON.
    """
    exponents = _LARGE_EXPONENT.search(text) is not None
    integers = len(text) > _MOST_DIGITS and _ZEROS in text.translate(_DIGITS)
    if exponents or integers:
        _checker.decode(text)
    if integers:
        _check_integers(text)


def read(text: Any) -> Any:
    """Returns the value of stored JSON, from the pool's connections (Raw) or as PostgreSQL prints it (str).

    A number that is out of range becomes a text of its digits. Half a surrogate pair becomes U+FFFD, and so does a NUL
    character in JSON that PostgreSQL printed.
    """
    try:
        return msgspec.json.decode(json_characters.replaced(text) if isinstance(text, str) else text)
    except msgspec.DecodeError:
        return json.loads(json_characters.replaced(text), parse_int=_integer, parse_float=_float)


def bounded(number: str) -> float:
    """Returns the float of a JSON number. Raises ValueError if it is too large or too small for one."""
    value = float(number)
    if math.isinf(value) or (value == 0 and _LARGE_EXPONENT.search(number.encode())):
        raise ValueError("Number out of range")
    return value


def _check_integers(text: bytes) -> None:
    position = 0
    while (match := _LONG_INTEGER.match(text, position)) is not None:
        if math.isinf(float(match[0][match.start(1) - position :])):
            raise msgspec.ValidationError("Number out of range")
        position = match.end()


def _integer(digits: str) -> int | str:
    return digits if math.isinf(float(digits)) else int(digits)


def _float(digits: str) -> float | str:
    value = float(digits)
    return digits if math.isinf(value) else value


_checker = msgspec.json.Decoder(float_hook=bounded)
