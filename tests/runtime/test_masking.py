"""Secrets in texts that arrive in pieces are hidden wherever they are cut, and nothing else is held back."""

import itertools
import json
import random
from collections.abc import Iterable

import pytest

from amplifier.runtime.secret_references import Veil, redact
from tests.support.growth import LIMIT, exponent

KEY, LONGER, OTHER = "sk-12345678", "sk-1234567890", "90-other-key"
SECRETS = frozenset({KEY, LONGER, 'with "quotes" / é'})


def shown(pieces: Iterable[str], secrets: frozenset[str] = SECRETS) -> list[str]:
    """Returns the text shown after each piece, and at the end."""
    veil = Veil(secrets)
    return [*(veil.show(piece) for piece in pieces), veil.end()]


@pytest.mark.parametrize(
    "text",
    [
        f"It is {KEY}, sir",
        f"{KEY}",
        f"{KEY}{KEY}",
        f"{LONGER} and {KEY}",
        f"{LONGER[:-1]}",  # the shorter secret, and the beginning of the longer one
        f"s sk sk- sk-1 {KEY[:-1]}",
        f"sk-sk-{KEY}",
        json.dumps({"key": 'with "quotes" / é'}),
        "?key=with%20%22quotes%22%20%2F%20%C3%A9&x",
        "",
    ],
)
def test_secret_is_hidden_wherever_text_is_cut(text: str) -> None:
    whole = redact(text, SECRETS)
    for first, second in itertools.combinations_with_replacement(range(len(text) + 1), 2):
        assert "".join(shown([text[:first], text[first:second], text[second:]])) == whole
    assert "".join(shown(text)) == whole


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_overlapping_secrets_are_hidden_in_any_pieces(size: int) -> None:
    """Random secrets of two letters overlap often; none of them is ever shown."""
    generator = random.Random(16)
    for _ in range(300):
        secrets = frozenset("".join(generator.choices("ab", k=generator.randint(8, 12))) for _ in range(3))
        parts = [*secrets, *("".join(generator.choices("ab", k=generator.randint(1, 9))) for _ in range(6))]
        text = "".join(generator.choices(parts, k=8))
        output = "".join(shown((text[at : at + size] for at in range(0, len(text), size)), secrets))
        assert not any(secret in output for secret in secrets), (secrets, text)


def test_only_possible_beginning_of_secret_is_held_back() -> None:
    pieces = ["It is s", "un", "ny. sk-", "12", "x sk-12345678", "9", "x", "end"]
    assert shown(pieces) == ["It is ", "sun", "ny. ", "", "sk-12x ", "", "***9x", "end", ""]


def test_text_is_not_held_back_for_longer_than_longest_secret() -> None:
    veil = Veil(frozenset({"a" * 20 + "b"}))
    for count in range(1, 100):
        veil.show("a")
        assert len(veil._held) == min(count, 20)


def test_beginning_of_secret_is_hidden_where_text_was_cut_off() -> None:
    for size in range(1, len(KEY)):
        veil = Veil(SECRETS)
        before = veil.show(f"It is {KEY[:size]}")
        assert before + veil.end(cut_off=True) == "It is " + ("***" if size >= 8 else KEY[:size])


def test_mask_signs_in_text_are_replaced() -> None:
    assert "".join(shown("a\U0010ffff\U0010fffe \U0010ffff" + KEY)) == "a\ufffd\ufffd \ufffd***"
    assert "".join(shown("x-\U0010ffff-12345", frozenset({"\U0010ffff-12345 7"}))) == "x-\ufffd-12345"


def test_without_secrets_nothing_is_held_back() -> None:
    assert shown(["sk-", "1"], frozenset()) == ["sk-", "1", ""]
    assert shown(["short", "er"], frozenset({"shorter"})) == [
        "short",
        "er",
        "",
    ]  # shorter than any secret that is hidden


@pytest.mark.parametrize("part", ["a", "ab", "aaaab"])
def test_pieces_take_time_in_proportion_to_text(part: str) -> None:
    """The texts consist of near misses of long secrets."""
    veil = Veil(frozenset({"a" * 7_000 + "b", "ab" * 3_000 + "c", "aaaabaaac"}))
    assert exponent(veil.show, lambda size: part * size) <= LIMIT
    assert exponent(lambda text: [veil.show(one) for one in text], lambda size: part * (size // 8)) <= LIMIT
