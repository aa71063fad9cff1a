"""Characters that PostgreSQL refuses: stored as others, restored as they came, in time proportional to the text."""

import json
import random
import re

import msgspec
import pytest

from amplifier import json_characters, json_numbers
from tests.support.growth import LIMIT, exponent

ODD = re.compile("[\0\ud800-\udfff]")
PARTS = [
    *("\\\\", "\\n", '\\"', "\\u0000", "\\ud83d", "\\ude00", "\\uDBFF", "\\uFDD0", "\ufdd0", "0000", "d800", "fdd0"),
    *("a", "\\u00e9", "é", "😀", "\\ud83d\\ude00", "u0000", "ud83d", "\\u0001"),
]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (r'"a\u0000"', '"a\ufdd00000"'),
        (r'"\uD83D!"', '"\ufdd0d83d!"'),
        (r'"\ud83d\ud83d\ude00\ude00"', '"\ufdd0d83d\\ud83d\\ude00\ufdd0de00"'),
        (r'"\\u0000\\\u0000"', '"\\\\u0000\\\\\ufdd00000"'),
        (r'"\\ud83d\ude00"', '"\\\\ud83d\ufdd0de00"'),
        (r'{"\u0000": "\uFDD0"}', '{"\ufdd00000": "\ufdd0fdd0"}'),
        ('"\ufdd00000"', '"\ufdd0fdd00000"'),
        (r'"\u12", "\ud8zz"', r'"\u12", "\ud8zz"'),  # no JSON, and none afterwards
    ],
)
def test_escape_is_stored_as_noncharacter_and_digits(sent: str, stored: str) -> None:
    assert json_characters.stored(sent.encode()).decode() == stored


def test_every_text_comes_back() -> None:
    random.seed(20)
    for _ in range(20_000):
        sent = '"' + "".join(random.choices(PARTS, k=random.randint(0, 8))) + '"'
        text, stored = json.loads(sent), json_characters.stored(sent.encode())
        assert not ODD.search(json.loads(stored)), sent
        printed = json.dumps(json.loads(stored), ensure_ascii=False)  # as PostgreSQL prints it
        assert json.loads(json_characters.restored(printed.encode()).decode()) == text, sent
        assert json_characters.has_odd(sent.encode()) == bool(ODD.search(text)), sent
        assert json.loads(json_characters.replaced(printed)) == ODD.sub("\ufffd", text), sent
        assert json.loads(json_characters.replaced(sent.encode(), " ")) == ODD.sub(" ", text), sent


def test_stored_json_is_read_with_replacement_character() -> None:
    assert json_numbers.read('["a\ufdd0d83d", "\ufdd0fdd0"]') == ["a\ufffd", "\ufdd0"]
    assert json_numbers.read(msgspec.Raw(rb'["a\ud83d"]')) == ["a\ufffd"]
    assert json_numbers.read(msgspec.Raw(rb'["\ud83d", 1e999]')) == ["\ufffd", "1e999"]


@pytest.mark.parametrize(
    "part", ["a", "\\\\", "\\n", "\\u0041", "\\ud83d\\ude00", "\\u0000", "\\ud83d", "\ufdd0", "\\u"]
)
def test_time_grows_with_text(part: str) -> None:
    def make(size: int) -> bytes:
        return ('["\\u0000' + part * (size // len(part) + 1) + '"]').encode()

    for function in (json_characters.stored, json_characters.has_odd, json_characters.replaced):
        assert exponent(function, make) <= LIMIT, function
    assert exponent(json_characters.restored, lambda size: json_characters.stored(make(size))) <= LIMIT
