"""Queries and their hits: words, phrases, beginnings, and identifiers at any place."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.test_search import add, all_pages, search, seqs

# A text, what finds it, and what does not; two spaces between them.
FOUND = {
    "Three passengers fly": (
        """passenger  passengers  passenge*  PASS*  passeng*  pass* fly  flying -train  train or fly  "three passengers"
        "three pass*"  "passengers fl*"  -train fly  (three)  three) OR (x  thre* x or fly  t*  flies""",
        """train  passen  fly -passenger  fly -pass*  "passengers three"  "three fly"  three train  "fl* three"  t""",
    ),
    "on 2024-05-20T10:00:00Z for mia_li_3668": (
        """2024-05*  2024-05-20  2024*  mia_li_36*  mia_li_3668  mia_*  "for mia_li*"  2024-05-20T10:00:00
        2024-05-2*""",
        """2024-06*  2023-05-20  2024-05-2  mia_li_37*  mia_3668  2024-20-05  mia_li_366  05-21*""",
    ),
    "provider-openai failed in /usr/lib/python3.11/site.py, said mia@example.com": (
        """provider-open*  provider-openai  prov*  /usr/li*  /usr/lib*  /usr/lib/python3.11/site.py  site.py  mia@exam*
        mia@example.com  python3.1*""",
        """provider-azure*  openai-provider  /usr/bin*  /lib/usr*  python3.12  mia@other*  mia@example.org""",
    ),
}


@pytest.mark.parametrize("text", FOUND)
async def test_query_finds_intended_messages(alice: httpx.AsyncClient, session_id: str, text: str) -> None:
    await add(alice, session_id, text)
    found, not_found = (
        [q.strip() for line in list.splitlines() for q in line.split("  ") if q.strip()] for list in FOUND[text]
    )
    assert [q for q in found if await seqs(alice, q) != [1]] == []
    assert [q for q in not_found if await seqs(alice, q) != []] == []


IDENTIFIERS = {  # and another one, by which it must not be found
    "search_direct_flight": "search_onestop_flight",
    "mia_li_3668": "mia_li_3669",
    "HAT136": "HAT137",
    "provider-openai": "provider-azure",
    "2024-05-20": "2024-05-21",
    "/usr/lib/python3.11/site.py": "/usr/lib/python3.11/os.py",
    "src/app/main.py": "src/app/test.py",
    "ERR_CONN_REFUSED": "ERR_CONN_RESET",
    "ORA-00942": "ORA-00943",
    "E1234": "E1235",
    "mia.li3668@example.com": "mia.li3668@example.org",
    "gpt-4o-mini": "gpt-4o-maxi",
    "550e8400-e29b-41d4-a716-446655440000": "550e8400-e29b-41d4-a716-446655440001",
}
_AROUND = """
    {}  {}.  {},  ({})  "{}",  '{}'  `{}`  **{}**  *{}*  [{}]  <{}>  {{{}}}  {}:  {};  {}!  {}?  {}...  x={}  x:{}  |{}|
    #{}  ~{}~  {}/  a,{},b  {}'s  see {}.Then  [{}](x)  <b>{}</b>  k: "{}"
"""
AROUND = [form for line in _AROUND.splitlines() for form in line.strip(" ").split("  ") if form]
TYPOGRAPHIC = [
    "\u201c{}\u201d",
    "\u2018{}\u2019",
    "«{}»",
    "{}…",
    "—{}—",
    "a\u2013{}",
    "{}。",
    "\uff08{}\uff09",
    "\u00a0{}\u00a0",
]
TYPOGRAPHIC += ["{}\u2019s", "→{}", "•{}", "🎉{}"]
PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda text: {"role": "user", "content": text},
    lambda text: {"role": "assistant", "tool_calls": [{"id": "1", "tool": "t", "arguments": {"k": [text]}}]},
    lambda text: {
        "role": "assistant",
        "tool_calls": [{"function": {"name": "t", "arguments": json.dumps({"k": text})}}],
    },
    lambda text: {"role": "tool", "tool_call_id": "1", "content": json.dumps({"success": True, "output": {"k": text}})},
    lambda text: {"role": "tool", "tool_call_id": "1", "content": str({"success": True, "output": {"k": text}})},
    lambda text: {"role": "tool", "content": [{"type": "tool_result", "tool_call_id": "1", "output": text}]},
]


async def missed(
    alice: httpx.AsyncClient, session_id: str, identifier: str, around: list[str]
) -> list[tuple[str, int]]:
    """Forms and places in which an identifier is not found."""
    forms = list(itertools.product(around, range(len(PLACES))))
    await add(alice, session_id, *[PLACES[place](f"word {form.format(identifier)} other") for form, place in forms])
    hits = {hit["seq"] for hit in await all_pages(alice, identifier, limit=100)}
    assert await seqs(alice, IDENTIFIERS[identifier]) == []
    return [form for number, form in enumerate(forms, 1) if number not in hits]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
async def test_identifier_is_found_as_typed(alice: httpx.AsyncClient, session_id: str, identifier: str) -> None:
    assert await missed(alice, session_id, identifier, AROUND) == []


@pytest.mark.parametrize("identifier", ["HAT136", "mia_li_3668", "2024-05-20"])
async def test_typographic_signs_are_no_letters(alice: httpx.AsyncClient, session_id: str, identifier: str) -> None:
    forms = await missed(alice, session_id, identifier, TYPOGRAPHIC)
    assert sorted({form for form, _ in forms}) == []


async def test_escape_in_text_is_no_letter(alice: httpx.AsyncClient, session_id: str) -> None:
    """JSON that was cut off, JSON within text, and what Python's repr makes of a line break."""
    await add(alice, session_id, *[PLACES[4](text) for text in ("one\nHAT136", "one\tHAT136", "one\rHAT136")])
    await add(alice, session_id, PLACES[3]('{"a": "one\\nHAT136'), PLACES[0]("one\\nHAT136\\ntwo"))
    assert sorted(await seqs(alice, "HAT136"), key=str) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("q", ["", " ", "the", "the or and", '"the"', "?!", '"', '""', "()", "*", "-", "- *"])
async def test_query_without_terms_says_so(alice: httpx.AsyncClient, session_id: str, q: str) -> None:
    await add(alice, session_id, "the and or needle ?!")
    for path in ("/search", f"/sessions/{session_id}/search"):
        results = await search(alice, q, path)
        assert (results["items"], results["next"]) == ([], None)
        assert "nothing to search for" in results["notice"]
    assert (await search(alice, "absent"))["notice"] is None


async def test_emoji_and_other_punctuation_are_no_terms(alice: httpx.AsyncClient) -> None:
    results = {q: await search(alice, q) for q in ("🎉", "🎉🎉", "…", "—", "“”", "。", "\u00a0", "\u200f", "\u202e")}
    assert all(result["items"] == [] for result in results.values())
    assert [q for q, result in results.items() if "nothing to search for" not in (result["notice"] or "")] == []


@pytest.mark.parametrize(
    ("text", "q", "headline"),
    [
        (r"open C:\repos\tenant\new.py", r"repos\tenant", r"open C:\<mark>repos\tenant</mark>\new.py"),
        ("un cafe\u0301 noir", "caf\u00e9", "un <mark>cafe\u0301</mark> noir"),
        ("请用Python写一个API接口", "python 接口", "请用<mark>Python</mark>写一个API<mark>接口</mark>"),
        ("東京タワーへ", "京タワ", "東<mark>京タワ</mark>ーへ"),
    ],
)
async def test_headline_shows_text_as_it_was_stored(
    alice: httpx.AsyncClient, session_id: str, text: str, q: str, headline: str
) -> None:
    await alice.patch(f"/sessions/{session_id}", json={"title": text})
    await add(alice, session_id, text)
    assert {hit["headline"] for hit in (await search(alice, q))["items"]} == {headline}
    assert [row["headline"] for row in (await search(alice, q, "/sessions"))["sessions"]] == [headline]


@pytest.mark.parametrize(
    ("text", "found", "not_found"),
    [
        (
            r"C:\repos\tenant\node_modules\runner.test.ts",
            ("repos", "tenant", "node_modules", "runner.test.ts"),
            ("epos", "enant"),
        ),
        (r"\\files\reports\new.xlsx", ("reports", "new.xlsx"), ("eports", "ew.xlsx")),
        (r"{'text': 'one\nHAT136'}", ("HAT136",), ("neHAT136",)),
        (r"{'path': 'D:\\\\reports', 'text': 'two\nHAT137'}", ("reports", "HAT137"), ("eports",)),
    ],
)
async def test_backslash_is_an_escape_outside_of_paths(
    alice: httpx.AsyncClient, session_id: str, text: str, found: tuple[str, ...], not_found: tuple[str, ...]
) -> None:
    await add(alice, session_id, text)
    hits = {q: len((await search(alice, q))["items"]) for q in (*found, *not_found)}
    assert hits == dict.fromkeys(found, 1) | dict.fromkeys(not_found, 0)
