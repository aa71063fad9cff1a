"""The database functions that turn typed text into a tsquery and show hits in headlines."""

import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.api.test_search_identifiers import matches

Sql = Callable[..., list[Any]]

QUERIES = {  # in english
    "flights": "'flight'",
    "direct flight": "'direct' & 'flight'",
    '"direct flight"': "'direct' <-> 'flight'",
    "train or bus": "'train' | 'bus'",
    "train -bus": "'train' & !'bus'",
    "-bus": "!'bus'",
    "-bus*": "!'bus':*",
    'train -"direct flig*"': "'train' & !( 'direct' <-> 'flig':* )",
    "flig*": "'flig':*",
    '"direct flig*"': "'direct' <-> 'flig':*",
    '"direct flig* home"': "'direct' <-> 'flig':* <-> 'home'",
    "fl* or tr* -x*": "'fl':* | 'tr':* & !'x':*",
    "passenge*": "'passenge':* | 'passeng'",
    "Zür*": "'zür':*",
    "user_3*": "'user' <-> '3':*",
    "the": "",
    "the of": "",
    "": "",
    " \t\n": "",
    "* ** - -- ( ) ' \" \\ & | ! < > :": "",
    "or": "",
    "a* or": "'a':*",
    "(flight*)": "'flight':*",
    '"flight': "'flight'",
    "flight*s": "'flight'",
}
# placeholders of the functions, and characters that are special in a query or in its text
PARTS = """
    qxz 907351 qxzaqxz qxzbqxz 'qxzaqxz' 'qxzbqxz' qxz' * ** " ' '' \\ - -- ( ) & | ! <-> < > : :* or OR and a the foo
    direct flights é É ß İ Ⱥ 漢 漢字 𐐀 😀 1 -1 1e9 2024-05 a.com/ a.com/x' x@y.org http:// /a ~/ <b> <!-- &amp;
    . , ; _ = ? %
"""
BLANKS = [" ", "\t", "\n", "\x01", "\x0e", "\x7f", "\u00a0", "\u200d", "\u0301", "\ue000"]
LONG = [
    "a*" * 333,
    "ab* " * 250,
    "qxz*" * 250,
    '"' * 1000,
    "\\" * 1000,
    "'" * 1000,
    "-" * 1000,
    "(" * 1000,
    "or " * 333,
    "x or -" * 166,
    "*" * 1000,
    "a" * 999 + "*",
    "é" * 999 + "*",
    "漢" * 1000,
    "漢" * 999 + "*",
    "𐐀" * 999 + "*",
    "Ⱥ" * 1000,
    "Ⱥ" * 999 + "*",
    "Ⱥ" * 600 + "* Ⱥ",
    "-".join(["long"] * 200) + "*",
    "a_" * 499 + "*",
    "a.com/qxz'b*",
    "qxz'x.com/a*",
    "foo* a.com/'qxzaqxz'",
    "foo* a.com/'qxzbqxz'",
]


@pytest.mark.parametrize(("typed", "expected"), QUERIES.items())
def test_typed_text_becomes_tsquery(sql: Sql, typed: str, expected: str) -> None:
    assert sql("select search_query('english', %s)::text", typed) == [(expected,)]


@pytest.mark.parametrize("typed", LONG, ids=lambda typed: f"{typed[:20]!a}, {len(typed)}")
def test_long_and_odd_input_never_fails(sql: Sql, typed: str) -> None:
    assert failures(sql, "english", [typed]) == []


@pytest.mark.slow
def test_random_input_never_fails(sql: Sql) -> None:
    assert failures(sql, "english", any_strings(1000)) == []


@pytest.mark.slow
def test_input_never_fails_in_any_language(sql: Sql) -> None:
    names = [name for (name,) in sql("select cfgname from pg_ts_config order by cfgname")]
    assert {"english", "german", "simple"} <= set(names)
    given = any_strings(30)
    assert [failure for name in names for failure in failures(sql, name, given)] == []


def test_typed_placeholder_is_plain_text(sql: Sql) -> None:
    for typed in ("qxzaqxz", "qxzbqxz", "qxz", "907351"):
        assert matches(sql, "english", f"see {typed} fork", f"fo* {typed}")
        assert not matches(sql, "english", "see fork", f"fo* {typed}")


def test_search_ignores_case_of_accented_letters(sql: Sql) -> None:
    assert matches(sql, "english", "L'ÉCOLE", "école")
    assert matches(sql, "english", "l'école", "ÉCOLE")
    assert matches(sql, "english", "STRASSE, Straße", "straße")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("'a'", "'a':ABC"),
        ("'a':*", "'a':*ABC"),
        ("'a' & ( 'b' | !'c':* ) <2> 'd'", "'a':ABC & ( 'b':ABC | !'c':*ABC ) <2> 'd':ABC"),
        ("'it''s' & '''' & ':*' & 'x'':*'", "'it''s':ABC & '''':ABC & ':*':ABC & 'x'':*':ABC"),
        ("'c:\\\\x' | '\\\\''' <-> '\\\\\\\\'", "'c:\\\\x':ABC | '\\\\''':ABC <-> '\\\\\\\\':ABC"),
        ("'é 漢' & '( & )'", "'é 漢':ABC & '( & )':ABC"),
        ("", ""),
    ],
)
def test_weighted_query_keeps_its_structure(sql: Sql, query: str, expected: str) -> None:
    assert sql("select search_query_within(%s::tsquery, 'ABC')::text", query) == [(expected,)]


def test_weighted_query_ignores_other_weights(sql: Sql) -> None:
    vector = "setweight(to_tsvector('english', 'said'), 'A') || setweight(to_tsvector('english', 'thought'), 'D')"
    for typed, expected in {"said": True, "thought": False, "thoug*": False, "said -thought": True}.items():
        query = "search_query_within(search_query('english', %s), 'ABC')"
        assert sql(f"select {vector} @@ {query}", typed) == [(expected,)], typed


def test_headline_marks_hits_and_keeps_text(sql: Sql) -> None:
    assert "\ue000cheap\ue001 \ue000flights\ue001" in headline(sql, "cheap flights", "two cheap flights a day")
    assert headline(sql, "flig*", "Flights") == "\ue000Flights\ue001"
    for text in (
        "some <b>text</b> & 'more' words",
        "some a/b.c@d-e+f 2024-05-20T10:00 words",
        "some 12T34: <T> -- & words",
    ):
        assert headline(sql, "needle", f"needle {text}") == f"\ue000needle\ue001 {text}"


def test_headline_drops_marks_in_the_text(sql: Sql) -> None:
    text = "\ue000that\ue001 \ue001hit\ue000 \ue000flight\ue000 \ue001home\ue001"
    found = headline(sql, "hit flight home", text)
    assert found.replace("\ue000", "[").replace("\ue001", "]").endswith("[hit] [flight] [home]")


@pytest.mark.parametrize("words", [4000, 19000])
def test_headline_of_long_text_contains_hit(sql: Sql, words: int) -> None:
    found = headline(sql, "needle", "word " * words + "needle " + "word " * words)
    assert "\ue000needle\ue001" in found
    assert len(found) < 1000


LONG_WORD = "x" * 1000
LONG = [" ".join(["needle", *[LONG_WORD] * 200]), " ".join([*[LONG_WORD] * 80, "needle", *[LONG_WORD] * 200])]
LONG += [f"needle{' ' * 5000}needle", f"{'- ' * 5000}needle{' -' * 5000}", f"{LONG_WORD} " * 7 + "needle " * 200]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_headline_has_at_most_1000_characters(sql: Sql, text: str) -> None:
    found = headline(sql, "needle", text)
    assert len(found) <= 1000
    assert "\ue000needle\ue001" in found
    assert found.count("\ue000") == found.count("\ue001")


def test_truncated_hit_stays_marked(sql: Sql) -> None:
    found = headline(sql, LONG_WORD, " ".join([LONG_WORD] * 200))
    assert found == f"\ue000{LONG_WORD[:989]}\ue001…"


@pytest.mark.slow
def test_headlines_of_random_input_never_fail(sql: Sql) -> None:
    text = " ".join(any_strings(20))
    for typed in any_strings(100):
        if failures(sql, "english", [typed]) == []:
            found = headline(sql, typed, text)
            assert found.count("\ue000") == found.count("\ue001")


def any_strings(count: int) -> list[str]:
    """Returns strings of up to 1,000 random characters, the same in every run."""
    chance = random.Random(20)
    strings = []
    for _ in range(count):
        glue = chance.choice(["", "", " "])
        parts = chance.choices(PARTS.split() + BLANKS, k=chance.choice([2, 4, 8, 16, 400]))
        strings.append(glue.join(parts)[:1000])
    return strings


def failures(sql: Sql, language: str, given: list[str]) -> list[tuple[str, str, str]]:
    """Returns language, text and error for each text that fails as a query or with weights."""
    found = []
    for typed in given:
        try:
            query = "search_query(%s::regconfig, %s)"
            [(kept,)] = sql(
                f"select numnode({query}) = numnode(search_query_within({query}, 'ABC'))", *[language, typed] * 2
            )
            assert kept, typed
        except psycopg.Error as error:
            found.append((language, typed[:100], str(error).splitlines()[0][:100]))
    return found


def headline(sql: Sql, typed: str, text: str) -> str:
    [(found,)] = sql("select search_headline('english', search_query('english', %s), %s)", typed, text)
    return str(found)
