"""Numbers in JSON that readers differ about: refused in what clients send, and read all the same where they are stored.

PostgreSQL keeps a hundred thousand digits, Python's float ends below 1e309, and Python reads integers of at most 4,300
digits.
"""

import json
import math
import re
from typing import Any

import msgspec

# A few bytes with a larger exponent would be stored as, and answered with, a hundred thousand digits each; below 1e-324
# thousands of zeros.
_LARGE_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3}")
_MOST_DIGITS = 308  # of integers that are all floats
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_ZEROS = b"0" * (_MOST_DIGITS + 1)
# Goes to the next long integer in valid JSON, past texts and the digits of fractions and exponents. No part can match
# the same bytes in two ways, and what matched is not given back: the time grows with the text.
_LONG_INTEGER = re.compile(
    rb'(?:[^"0-9.eE]++|"(?:[^"\\]++|\\.)*+"|[.eE][-+]?[0-9]*+|[0-9]{1,%d}+(?![0-9]))*+([0-9]++)([.eE][-+0-9.eE]*+)?'
    % _MOST_DIGITS,
    re.DOTALL,
)


def check(text: bytes) -> None:
    """Raises msgspec.ValidationError for a number that is no float, at either end, and DecodeError for what is no JSON.

    Looks closer only at what has a large exponent or a long row of digits, perhaps in a text.
    """
    exponents = _LARGE_EXPONENT.search(text) is not None
    integers = len(text) > _MOST_DIGITS and _ZEROS in text.translate(_DIGITS)
    if exponents or integers:
        _checker.decode(text)
    if integers:
        _check_integers(text)


def read(text: Any) -> Any:
    """The value of JSON that is stored; a number that is out of range becomes a text of its digits."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        text = text if isinstance(text, str) else bytes(text)
        return json.loads(text, parse_int=_integer, parse_float=_float)


def _bounded(number: str) -> float:
    """The float that a JSON number means. Raises ValueError where it is beyond the floats, at either end."""
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


_checker = msgspec.json.Decoder(float_hook=_bounded)
