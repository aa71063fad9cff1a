"""Spellings of one word find each other, paths and escapes are divided, and headlines show what was stored."""
# ruff: noqa: RUF001

import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.test_search_identifiers import matches
from tests.queries.test_search_query import headline

Sql = Callable[..., list[Any]]

FORMS = [
    "café",
    "Ångström",
    "Vögel",
    "한국어",
    "ガイド",
    "tiếng",
    "Ёлка",
    "क़लम",
]
SAME = [  # pairs that find each other
    ("ＨＡＴ１３６", "HAT136"),
    ("ﬁnd", "find"),
    ("oﬃce", "office"),
    ("ｶﾞｲﾄﾞ", "ガイド"),
    ("㍿", "株式会社"),
    ("𝐛𝐨𝐥𝐝", "bold"),
    ("\u212bngström", "Ångström"),
    ("co\u00adoperate", "cooperate"),
    ("data\u200bbase", "database"),
    ("data\u2060base", "database"),
    ("Auf\u200clage", "Auflage"),
    ("\ufeffneedle", "needle"),
    ("葛\U000e0100城", "葛城"),
    ("नम\u200dस्ते", "नमस्ते"),
    ("می\u200cخواهم", "می خواهم"),
]
PATHS = [
    r"C:\repos\tenant\node_modules\react\tests\runner.test.ts",
    r"src\utils\x86\new.py",
    r"\\server\share\readme.txt",
    r"C:\\repos\\tenant\\new",
    r"D:\u00e9tat\u1234\x20",
]


def plain(marked: str) -> str:
    return marked.replace("\ue000", "[").replace("\ue001", "]")


@pytest.mark.parametrize("word", FORMS)
def test_composed_and_decomposed_find_each_other(sql: Sql, word: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", word), unicodedata.normalize("NFD", word)
    assert composed != decomposed or word == "क़लम"
    for stored in (composed, decomposed, composed.upper()):
        for typed in (composed, decomposed, f'"{decomposed}"', f"{decomposed}*"):
            assert matches(sql, "simple", f"one {stored} two", typed), (stored, typed)
            assert plain(headline(sql, typed, f"one {stored} two")) == f"one [{stored}] two"


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_find_each_other_and_are_shown_as_stored(sql: Sql, one: str, other: str) -> None:
    for stored, typed in ((one, other), (other, one), (one, one)):
        assert matches(sql, "simple", f"before {stored} after", typed), (stored, typed)
        marked = headline(sql, typed, f"before {stored} after")
        assert plain(marked).startswith("before ["), marked
        assert plain(marked).endswith("] after"), marked
        assert plain(marked).replace("[", "").replace("]", "") == f"before {stored} after"


def test_symbols_are_no_part_of_words(sql: Sql) -> None:
    for text in ("20 m² of", "word¹ of", "Windows™ of", "½cup of"):
        word = text.split()[-2].strip("²¹™½")
        assert matches(sql, "simple", text, word), text
    assert not matches(sql, "simple", "m²", "m2")


@pytest.mark.parametrize("path", PATHS)
def test_path_is_found_by_each_part_and_each_sequence(sql: Sql, path: str) -> None:
    parts = [part for part in path.replace("C:", "C").replace("D:", "D").split("\\") if part]
    for start in range(len(parts)):
        for typed in (
            parts[start],
            "\\".join(parts[start:]),
            "\\".join(parts[: start + 1]),
            f'"{" ".join(parts[start:])}"',
        ):
            assert matches(sql, "english", f"opened {path} again", typed), typed
    assert matches(sql, "english", f"opened {path} again", path)
    assert matches(sql, "english", path, f'"opened {path}"') is False
    assert matches(sql, "english", f"opened {path} again", f'"opened {path} again"')
    marked = headline(sql, parts[-1], f"opened {path} again")
    assert "\ue000" in marked
    assert marked.replace("\ue000", "").replace("\ue001", "") == f"opened {path} again"


@pytest.mark.parametrize("escape", [r"\n", r"\t", r"\r", r"\x0a", r"\u000a", r"\\", r"\\\n"])
def test_word_after_escape_is_found(sql: Sql, escape: str) -> None:
    text = f"('see one{escape}HAT136 mia_li_3668{escape}two three', 1)"
    for typed in ("HAT136", "one", "two", "mia_li_3668", '"HAT136 mia"', '"see one HAT136 mia li"', '"two three"'):
        assert matches(sql, "english", text, typed), typed
    assert plain(headline(sql, "HAT136", text)) == text.replace("HAT136", "[HAT136]")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (r"one\nHAT136", "'one' <-> 'nhat136' | 'one' <-> 'hat136'"),
        (r"C:\new", "'c' <-> 'new' | 'c' <-> 'ew'"),
        (r"C:\\new", "'c' <-> 'new'"),
        (r"C:\dir", "'c' <-> 'dir'"),
        (r"C:\temp*", "'c' <-> 'temp':* | 'c' <-> 'emp':*"),
        (r"-C:\new x", "!( 'c' <-> 'new' ) & 'x'"),
        (r"\n", "'n'"),
    ],
)
def test_typed_escape_has_both_readings(sql: Sql, typed: str, expected: str) -> None:
    assert sql("select search_query('simple', %s)::text", typed) == [(expected,)]


@pytest.mark.parametrize("typed", [r"one\nHAT136", r'{"flight": "one\u000aHAT136"}', r"one\\nHAT136"])
def test_typed_escape_finds_line_break(sql: Sql, typed: str) -> None:
    assert matches(sql, "english", "flight one\nHAT136", typed) is (typed != r"one\\nHAT136")
    assert not matches(sql, "english", "flight HAT136 one", typed)


def test_only_lines_with_escapes_are_read_twice(sql: Sql) -> None:
    text = "src\\new one\ntwo three\nC:\\new four"
    [(words,)] = sql("select search_plain(%s)", text)
    assert words.split() == ["src", "new", "one", "two", "three", "c", "new", "four", "src", "ew", "one"]


def test_marker_of_refused_characters_is_a_space(sql: Sql) -> None:
    text = "one\ufdd00000two \ufdd0d800three"
    for typed in ("one", "two", "three", '"one two three"', "two\ufdd0d800three"):
        assert matches(sql, "english", text, typed), typed
    assert plain(headline(sql, "two", text)) == "one [two]  three"


def test_headline_is_around_the_best_hits(sql: Sql) -> None:
    words = " ".join(f"word{number}" for number in range(150))
    text = f"flight {words} direct flight to Bern {words} flights direct or not {words}"
    fragments = plain(headline(sql, '"direct flight"', text)).split(" … ")
    assert len(fragments) == 3
    assert fragments[0].startswith("[flight] word0 ")
    assert "[direct] [flight] to Bern" in fragments[1]
    assert "[flights] [direct] or not" in fragments[2]


@pytest.mark.parametrize("place", [0, 4_990, 5_000, 9_700, 99_000])
def test_headline_finds_the_only_hit(sql: Sql, place: int) -> None:
    text = ("字" * 10 + " ab ") * 8_000
    text = f"{text[:place]} the needle 东京塔 here {text[place:]}"
    for typed, marked in (
        ("needle", "the [needle] 东"),
        ("东京塔", "needle [东京塔] here"),
        ("needle -absent", "[needle]"),
    ):
        assert marked in plain(headline(sql, typed, text))
