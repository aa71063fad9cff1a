"""Text and queries of any size: each text fits in a tsvector, and no work grows with the square of a size."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Sql = Callable[..., list[Any]]

CHANCE = random.Random(19)
PAIRED = [chr(code) for code in (*range(0x3400, 0x4DC0), *range(0x4E00, 0xA000), *range(0xAC00, 0xD7A4))]
LONE = [chr(code) for code in range(0x20000, 0x2A6D0)]  # 4 bytes each
CASES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
COMPATIBLE = [chr(code) for code in (*range(0x3300, 0x3358), *range(0x32D0, 0x32FF), 0x337F, 0xFDFA)]
THAI, THAI_MARKS = [chr(code) for code in range(0xE01, 0xE31)], [chr(code) for code in range(0xE34, 0xE3B)]


def runs(length: int, separators: list[str]) -> Iterator[str]:
    """Yields runs of different pairs, each before a separator."""
    for _ in range(100_000 // (length + 1)):
        yield "".join(CHANCE.choices(PAIRED, k=length)) + CHANCE.choice(separators)


TEXTS = {
    "pairs": lambda: "".join(CHANCE.choices(PAIRED, k=100_000)),
    **{f"runs of {length}": lambda length=length: "".join(runs(length, LONE)) for length in (1, 2, 3, 5, 9)},
    "runs and spaces": lambda: "".join(runs(2, [" "])),
    "lone characters": lambda: "".join(CHANCE.choices(LONE, k=100_000)),
    "characters that become words": lambda: "".join(CHANCE.choices(COMPATIBLE, k=100_000)),
    "eighteen for one": lambda: "\ufdfa" * 100_000,
    "eighteen for one and pairs": lambda: "".join(f"\ufdfa{sign}" for sign in CHANCE.choices(PAIRED, k=50_000)),
    "clusters": lambda: "".join(
        CHANCE.choice(THAI) + "".join(CHANCE.choices(THAI_MARKS, k=CHANCE.choice([0, 1, 2, 9]))) for _ in range(25_000)
    ),
    "marks": lambda: "a" + "\u0301\u0316" * 49_999,
    "escaped pairs": lambda: "".join(f"\\n{''.join(CHANCE.choices(PAIRED, k=5))}" for _ in range(14_000)),
    "escapes": lambda: "\\n" * 50_000,
    "backslashes": lambda: "\\" * 100_000,
    "escapes and lines": lambda: "\\nx\n" * 25_000,
    "joiners": lambda: "\u0628\u200c" * 50_000,
    "one word in two cases": lambda: "aA" * 50_000,
    "short words in two cases": lambda: "aAbB " * 20_000,
    "words in two cases": lambda: "".join(f"{''.join(CHANCE.choices(CASES, k=60))} " for _ in range(1_600)),
    "pairs and words in two cases": lambda: "".join(f"{pair}aB{pair}" for pair in runs(3, [" "]))[:100_000],
}


@pytest.fixture
def bounded(sql: Sql) -> Sql:
    """Ends a statement after 30 s: one that takes time with the square of its text needs longer."""
    sql("set statement_timeout = '30s'")
    return sql


@pytest.mark.slow
@pytest.mark.parametrize("make", TEXTS.values(), ids=TEXTS)
def test_any_text_fits_in_a_tsvector(bounded: Sql, make: Callable[[], str]) -> None:
    text = make()
    assert 90_000 < len(text) <= 120_000
    words = "to_tsvector('simple', search_plain(%s))"
    [(is_found, size)] = bounded(
        f"select {words} @@ 'needle', pg_column_size({words})", f"{text[:99_000]} needle", text[:100_000]
    )
    assert size < 2_000_000  # 4 bytes a word are beyond the limit of 1 MB
    assert is_found is not None


def test_words_at_the_beginning_are_kept_beside_pairs(bounded: Sql) -> None:
    [(plain,)] = bounded("select search_plain(%s)", f"needle {TEXTS['pairs']()}")
    assert plain.startswith("needle  ")
    assert len(plain) <= 300_010


def test_parts_of_words_are_bounded(bounded: Sql) -> None:
    identifiers = [f"orderHandler{number}" for number in range(3_000)]
    [(parts,)] = bounded("select search_parts(%s)", " ".join(identifiers * 2))
    assert parts.split() == [part for n in range(1_000) for part in ("order", "handler", f"handler{n}")]
    assert bounded("select search_parts(%s)", "aA" * 50_000) == [(None,)]


def test_expanding_text_is_cut(bounded: Sql) -> None:
    [(length,)] = bounded("select length(search_folded(%s, ' '))", "\ufdfa" * 100_000)
    assert length == 100_000


TYPED = [
    ('"x" ' * 250, '"x" ' * 25_000),
    ('"x y" ' * 160, "x y " * 25_000),
    ('"x y" "y w" ' * 3, "x y z " * 3_300),
    ("漢" * 1000, "漢" * 100_000),
    ('"' + "x " * 400 + '"', "x " * 50_000),
    ("x -y", "x " * 50_000),
    (" or ".join(f"w{number}" for number in range(200)), "w1 w2 x " * 12_000),
]


@pytest.mark.parametrize(("typed", "text"), TYPED, ids=range(len(TYPED)))
def test_headline_of_long_text_and_query_is_made_in_time(bounded: Sql, typed: str, text: str) -> None:
    [(found,)] = bounded("select search_headline('simple', search_query('simple', %s), %s)", typed[:1000], text)
    assert "\ue000" in found
    assert len(found) <= 1000


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("'a' & 'b' & 'a'", "'a' | 'b'"),
        ("'a' <-> 'b' | 'b' <-> 'c':*", "'a' | 'b' | 'c':*"),
        ("'a':ABC & 'b':*ABC", "'a' | 'b':*"),
        ("'a' & !'b'", "'a'"),
        ("'a' | !'b'", "'a'"),
        ("!( 'a' <-> 'b' ) & 'it''s'", "'it''s'"),
        ("", ""),
    ],
)
def test_headline_marks_each_word_of_a_query_once(sql: Sql, query: str, expected: str) -> None:
    assert sql("select search_terms(%s::tsquery)::text", query) == [(expected,)]


def test_headline_marks_at_most_100_words(sql: Sql) -> None:
    query = " & ".join(f"'w{number}'" for number in range(150))
    assert sql("select numnode(search_terms(%s::tsquery))", query) == [(199,)]
