"""Hostile input of the search: queries, and texts of transcripts."""

import random
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from tests.api.test_search import add, search

_OPERATORS = """
    "  "  (  )  *  *  -  !  |  &  :  <  >  \\  /  @  .  ,  _  #  %  $  `  ~  ^  =  +  [  ]  {  }  ;  ?  '  \\'  --
    **  (((  or  OR  not  and  AND  <->  <2>  :*  :A  :*ABC  "-  -"  *-  -*  "*  *"
"""
_WORDS = """
    passenger  passenge*  a  x*  the  2024-05-20  2024-05*  mia_li_3668  /usr/li*  a@b.c  qxza*  qxz  qxzaqxz  qxzb
    907351  é  ß  İ  日本  日*  🎉  👩‍👩‍👧  مرحبا  שלום  “  ”  …
"""
ODD = "\t\n\u00a0\u2028\ufeff\ufffd\ue000\ue001\x01\x7f\u202e\u200f\u0301\u017f\U0001d4b3\U0010ffff"
ALPHABET = [*_OPERATORS.split(), *_WORDS.split(), *ODD, *" " * 20]
SAID = 'a passenger said "2024-05-20" or so, (not) mia_li_3668 <b>é</b> 日本 🎉 qxzaqxz \ue000 /usr/lib a@b.c'


def typed(chance: random.Random) -> str:
    text = "".join(chance.choices(ALPHABET, k=chance.choice([1, 2, 3, 5, 8, 13, 40, 200])))
    return (text * chance.choice([1, 1, 1, 2, 30]))[:1000]


def of_length(text: str, length: int = 1000) -> str:
    return text * (length // len(text))


async def refused(client: httpx.AsyncClient, typed: list[str]) -> list[str]:
    """Lists, shortened, the queries that are not answered with 200 and safe headlines."""
    found = []
    for q in typed:
        for path in ("/search", "/sessions"):
            response = await client.get(path, params={"q": q})
            if response.status_code != 200:
                found.append(f"{response.status_code} {q[:40]!r}, {len(q)}")
                continue
            rows = response.json()["items" if path == "/search" else "sessions"]
            assert all(only_marks(row["headline"]).marked is not None for row in rows)
    return found


# from the seeds below, and what stands in programs and in Markdown
KNOWN = [
    "8 :*",
    "i*:*",
    "|*-*",
    "->*",
    "-'*",
    "!*x",
    ":*é",
    "rm -rf ./*",
    "a /* b */",
    "x, *, y*",
    "( * )",
    "'*'",
    "a.* b_*",
]
KNOWN += [
    "- - -",
    "* * *",
    "*a* **b**",
    "a -* b*",
    '"*"',
    '-"*" x*',
    '"" x* ""',
    "x*y*z* *",
    "''*",
    "\\'*",
    "qxzaqxz x*",
]
KNOWN += [
    "-" * 40 + " x",
    "- " * 40,
    "-" * 33 + "x",
    "!" * 40 + "x",
    '-"' * 20 + "x",
    "-x " * 40,
    "--" * 20 + "*",
    "_-" * 40,
]


@pytest.mark.parametrize("seed", range(4))
async def test_every_query_is_answered_with_200(alice: httpx.AsyncClient, session_id: str, seed: int) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": "A passenger"})
    await add(alice, session_id, SAID, {"role": "assistant", "content": SAID, "thinking_text": SAID})
    chance = random.Random(seed)
    assert await refused(alice, [typed(chance) for _ in range(120)]) == []


async def test_no_sign_of_a_program_is_an_error(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, *KNOWN)
    assert await refused(alice, KNOWN) == []


UNITS = [
    "a* ",
    "-x ",
    "or ",
    "x or ",
    "a-",
    "a.",
    "a_",
    "a/",
    "a@",
    "é*",
    "-*",
    '"x" ',
    "- ",
    "((",
    "<>",
    "x",
    "1",
    "é",
]
UNITS += [*"日\U0001d4b3\"'()-*!\\/<🎉_"]
LONG = [of_length(unit) for unit in UNITS] + [of_length(unit, 999) + "*" for unit in UNITS]
LONG += [of_length(unit, 998) + "x*" for unit in UNITS]
LONG += [" ".join(chr(0x4E00 + number) for number in range(500)), " ".join(f"{n:x}*" for n in range(256, 456))]


@pytest.mark.slow
async def test_no_length_is_an_error(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "needle", *LONG[: len(UNITS)])
    assert await refused(alice, LONG) == []


class _Reader(HTMLParser):
    """Parses a headline as a browser does."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.marked: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        assert (tag, attrs) == ("mark", []), (tag, attrs)
        self.tags.append(tag)
        self.marked.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags:
            self.marked[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def only_marks(headline: str) -> _Reader:
    """The parsed headline, which has no tags but <mark>, not nested, and no quote that could end an attribute."""
    reader = _Reader()
    reader.feed(headline)
    reader.close()
    assert not reader.tags
    assert not set(headline) & set("\"'\ue000\ue001\x0f")
    assert "<" not in headline.replace("<mark>", "").replace("</mark>", "")
    return reader


HOSTILE = [
    "<script>alert('needle')</script>",
    "<script>needle</script> <style>needle</style> <!-- needle --> <![CDATA[needle]]> <?needle?> <!DOCTYPE needle>",
    '<img src=x onerror="needle()"> <a href="javascript:needle">needle</a> <needle attr=\'needle\'>',
    "<mark>needle</mark> </mark>needle<mark> <mark onclick=needle> &lt;needle&gt; &amp;needle; &needle",
    "\ue000<b>\ue001 needle \ue001\ue000 \ue000needle\ue001 nee\ue000dle needle",
    'needle" onmouseover="x" \' needle=needle `needle` ${needle} {{needle}} &#x6e;eedle',
    "\x01needle\x02 \x0f\x0e\x0f needle 10\x0f10: 2024-05-20T10:00 needle",
    "needle-needle needle/needle.needle@needle_needle needle<needle>needle&needle+needle",
    "\u202e needle \u202c \u200f needle \u200f é\u0301 needle 👩‍👩‍👧 needle",
    "hay " * 6000 + "<b>needle</b> & the end",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_headline_is_safe_and_true(alice: httpx.AsyncClient, session_id: str, text: str) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": text[:255], "tags": {"k<b>": text[:500]}})
    await add(alice, session_id, text)
    plain = text.translate(dict.fromkeys(map(ord, "\ue000\ue001\x0f")))
    for q in ("needle", "need*", '"needle"', "needle -absent", "needle or absent"):
        hits = [hit for hit in (await search(alice, q))["items"] if hit["seq"] == 2]
        reader = only_marks(hits[0]["headline"])
        for fragment in reader.text.split(" … "):
            assert fragment in plain
        assert reader.marked
        assert all(set(mark.lower()) <= set("needle-/.@_<>&+") for mark in reader.marked), reader.marked
        assert reader.text.lower().count("needle") == "".join(reader.marked).count("needle"), "each hit is marked"
        for row in (await search(alice, q, "/sessions"))["sessions"]:
            only_marks(row["headline"])


CUT = [" ".join(f"{unit}needle{unit}" for _ in range(400)) for unit in ("<", "&", "'", '"', "&amp;", "x" * 90, "é")]
CUT += [" ".join([("x" * 1000)] * 200) + " needle", "needle " + "<>&\"'" * 1000, "<" * 2000 + "needle", "needle" * 1000]


@pytest.mark.parametrize("text", CUT, ids=range(len(CUT)))
async def test_headline_has_at_most_1000_characters(alice: httpx.AsyncClient, session_id: str, text: str) -> None:
    await add(alice, session_id, text)
    for q in ("needle", "need*", "x" * 1000, "needle" * 166, "é"):
        rows = (await search(alice, q))["items"] + (await search(alice, q, "/sessions"))["sessions"]
        for row in rows:
            reader = only_marks(row["headline"])
            assert len(row["headline"]) <= 1000
            assert reader.marked
            assert all(part.strip("…") in text for part in reader.text.split(" … "))
