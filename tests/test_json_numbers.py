"""Numbers out of range are refused in requests and read if stored, in time proportional to the text."""

import contextlib
import json
from typing import Any

import msgspec
import pytest

from amplifier import json_numbers
from tests.support.growth import LIMIT, exponent

LARGEST = str(int(1.7976931348623157e308))  # 309 digits
LONG = "9" * 5000


@pytest.mark.parametrize(
    "text",
    [
        *("1e308", LARGEST, f"-{LARGEST}", f"[{LARGEST},{LARGEST}]", "0." + LONG, "1." + LONG, "1e-300"),
        *(
            f'"{LONG}"',
            f'["\\"{LONG}"]',
            f'{{"{LONG}": 1.5e10}}',
            '["1e999"]',
            f'["a\\\\", "{LONG}"]',
            f"1e{'0' * 400}5",
        ),
        *("9" * 400 + "e-200", f'[true, null, "e", 12e5, "{LONG}"]'),
    ],
)
def test_floats_and_texts_are_accepted(text: str) -> None:
    json_numbers.check(text.encode())
    json.loads(text, parse_int=float)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1e309",
            "-1e400",
            "1e-400",
            LONG,
            f"-{LONG}",
            "9" * 309,
            LARGEST + "0",
            "9" * 4000,
            LONG + ".5",
            LONG + "e1",
        ),
        *(f'{{"a": [1, "{LONG}", {"9" * 309}]}}', f"[{LARGEST},{'9' * 309}]", f'["\\\\",{"9" * 400}]', f"[1e5,{LONG}]"),
    ],
)
def test_number_beyond_floats_is_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        json_numbers.check(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"[{LONG}, 1]", [LONG, 1]),
        (f'{{"a": -{LONG}}}', {"a": f"-{LONG}"}),
        (f"[{LONG}.5, 2.5]", [f"{LONG}.5", 2.5]),
        (f'["é", {LARGEST}]', ["é", int(LARGEST)]),
        ("[1e400]", ["1e400"]),
    ],
)
def test_stored_number_beyond_floats_is_read_as_text(text: str, value: Any) -> None:
    for given in (text, text.encode(), msgspec.Raw(text.encode())):
        assert json_numbers.read(given) == value
    assert msgspec.json.decode(msgspec.json.encode(json_numbers.read(text))) == value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "end"),
    [
        ("1,", f'"{LONG}"]'),
        ("1.5,", f'"{LONG}"]'),
        ('"",', f'"{LONG}"]'),
        ('"\\\\",', f'"{LONG}"]'),
        ("1" * 308 + ",", f'"{LONG}"]'),
        (LARGEST + ",", "1]"),
        ("1" * 308 + " ", LONG),  # invalid JSON
        ('"', LONG),
    ],
)
def test_time_of_check_grows_with_text(part: str, end: str) -> None:
    def check(text: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            json_numbers.check(text)

    assert exponent(check, lambda size: ("[" + part * (size // len(part) + 1) + end).encode()) <= LIMIT
