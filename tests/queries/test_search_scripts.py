"""Scripts without spaces between words: each part of a run of characters is found where it is, and nowhere else."""
# ruff: noqa: RUF001

import itertools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from amplifier.schema import migrate
from tests.api.test_search_identifiers import matches
from tests.conftest import with_database
from tests.queries.test_search_query import headline
from tests.support.archive import Archive
from tests.support.databases import execute
from tests.support.paths import DATA

Sql = Callable[..., list[Any]]

SENTENCES = (DATA / "sentences.txt").read_text().splitlines()
UNSPACED = re.compile("[々-〇ぁ-ゖァ-ヺー一-鿿가-힣]")
LATIN = re.compile("[A-Za-z0-9_]")


def parts(sentence: str) -> Iterator[str]:
    """Yields the parts of 2 to 6 characters without punctuation that do not begin or end within a Latin word."""
    for length in range(2, 7):
        for start in range(len(sentence) - length + 1):
            part = sentence[start : start + length]
            edges = (sentence[max(start - 1, 0) : start + 1], sentence[start + length - 1 : start + length + 1])
            is_cut = any(len(edge) == 2 and all(map(LATIN.match, edge)) for edge in edges)
            if not is_cut and all(UNSPACED.match(sign) or LATIN.match(sign) for sign in part):
                yield part


@pytest.mark.parametrize(("form", "count"), [("{}", 1936), ('"{}"', 1936), ("x or {}", 1936)])
def test_each_part_of_sentences_is_found_where_it_is(sql: Sql, form: str, count: int) -> None:
    assert len(SENTENCES) == 60
    typed = sorted({part for sentence in SENTENCES for part in parts(sentence)})
    plain = [sentence.replace("ＡＰＩ", "API").lower() for sentence in SENTENCES]
    known = [set(parts(sentence)) for sentence in plain]
    expected = {(part, number) for part in typed for number, own in enumerate(known) if part.lower() in own}
    found = found_in(sql, SENTENCES, typed, form)
    assert len(typed) == count
    assert expected - found == set(), "recall is 1"
    assert found - expected == set(), "precision is 1"


def test_each_character_is_found_where_it_is(sql: Sql) -> None:
    typed = sorted({sign for sentence in SENTENCES for sign in sentence if UNSPACED.match(sign)})
    expected = {(sign, number) for sign in typed for number, text in enumerate(SENTENCES) if sign in text}
    assert found_in(sql, SENTENCES, typed, "{}") == expected


@pytest.mark.slow
def test_database_of_locale_c_finds_the_same(server: str) -> None:
    name = f"locale_c_{os.getpid()}"
    locale = "encoding 'UTF8' locale_provider libc lc_collate 'C' lc_ctype 'C'"
    execute(server, f"create database {name} template template0 {locale}")
    try:
        archive = Archive(with_database(server, name))
        migrate.migrate(archive.dsn)
        test_each_part_of_sentences_is_found_where_it_is(archive.run, "{}", 1936)
        test_each_character_is_found_where_it_is(archive.run)
        assert matches(archive.run, "english", "東京、大阪", '"東京 大*"')
    finally:
        execute(server, f"drop database {name} with (force)")


@pytest.mark.parametrize("language", ["english", "german", "simple"])
@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("Python", "请用Python写一个API接口"),
        ("api", "请用Python写一个API接口"),
        ("东京*", "去东京塔"),
        ("东*", "去东京塔"),
        ("用Pyth*", "请用Python写"),
        ('"东京 大阪"', "东京、大阪城"),
        ("东京（大阪）", "东京(大阪)"),
        ("塔 -大阪", "东京塔"),
        ("𠮷野家", "在𠮷野家吃饭"),
        ("𠀁", "𠀀𠀁𠀂"),
        ("ภาษา", "สวัสดีภาษาไทย"),
        ("ไทย", "สวัสดีภาษาไทย"),
        ("ວາ", "ພາສາລາວາ"),
        ("ខ្មែរ", "ភាសាខ្មែរ"),
        ("ဘာသာ", "မြန်မာဘာသာ"),
    ],
)
def test_words_are_found_beside_other_scripts(sql: Sql, language: str, typed: str, text: str) -> None:
    assert matches(sql, language, text, typed)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("东京塔", "东京的塔"),
        ('"东京 大阪"', "东京塔大阪"),
        ("东京 -京塔", "东京塔"),
        ("塔 -东", "东京塔"),
        ("thon", "请用Python写"),
        ("学大", "大学 大学"),
    ],
)
def test_other_parts_are_not_found(sql: Sql, typed: str, text: str) -> None:
    assert not matches(sql, "english", text, typed)


@pytest.mark.parametrize(
    ("language", "text", "typed"),
    [("english", "两个passengers飞", "passenger"), ("german", "二つのBuchungenを見る", "Buchung")],
)
def test_latin_words_have_their_stems(sql: Sql, language: str, text: str, typed: str) -> None:
    assert matches(sql, language, text, typed)


@pytest.mark.parametrize(
    ("typed", "text", "expected"),
    [
        ("东京塔", "我去东京塔，然后回家", "我去[东京塔]，然后回家"),
        ("东", "东京和山东", "[东]京和山[东]"),
        ("塔", "东京塔，塔", "东京[塔]，[塔]"),
        ("python 接口", "请用Python写接口文档", "请用[Python]写[接口]文档"),
        ("서울", "나는 서울에서 산다", "나는 [서울]에서 산다"),
        ("ภาษา", "สวัสดีภาษาไทย", "สวัสดี[ภาษา]ไทย"),
        ("𠮷野", "在𠮷野家", "在[𠮷野]家"),
    ],
)
def test_headline_marks_parts_of_runs(sql: Sql, typed: str, text: str, expected: str) -> None:
    assert headline(sql, typed, text).replace("\ue000", "[").replace("\ue001", "]") == expected


def test_headline_of_each_part_marks_it(sql: Sql) -> None:
    wrong = []
    for sentence, part in itertools.islice(((s, p) for s in SENTENCES[::6] for p in parts(s)), 300):
        found = headline(sql, part, sentence)
        marked = re.sub("\ue001(_?)\ue000", r"\1", found)
        if part not in marked or re.sub("[\ue000\ue001]", "", found) != sentence or "\ue000" not in found:
            wrong.append((part, found))
    assert wrong == []


def found_in(sql: Sql, texts: list[str], typed: list[str], form: str) -> set[tuple[str, int]]:
    """Returns pairs of what is typed and the number of a text in which it is found."""
    return set(
        sql(
            """
            with texts as materialized (
                select number - 1 as number, to_tsvector('english', search_plain(text)) as words
                from unnest(%s::text[]) with ordinality as t (text, number)
            ), queries as materialized (
                select typed, search_query('english', replace(%s, '{}', typed)) as query
                from unnest(%s::text[]) as typed
            )
            select q.typed, t.number::integer from queries as q join texts as t on t.words @@ q.query
            """,
            texts,
            form,
            typed,
        )
    )
