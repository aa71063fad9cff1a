"""The order of hits: spelling, order and number of the words, kinds of text, and the pages of both ranks."""

from typing import Any

import httpx
import pytest

from amplifier import paths
from tests.api.test_search import MANY, Sql, add, all_pages, search, seqs


def tool_result(text: str) -> dict[str, str]:
    """A tool's result as a message."""
    return {"role": "tool", "tool_call_id": "1", "content": text}


async def test_typed_spelling_ranks_before_other_forms(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "three passengers board", "three passenger board", "three passengers board")
    assert await seqs(alice, "passenger") == [2, 3, 1]
    assert await seqs(alice, "passengers") == [3, 1, 2]
    assert await seqs(alice, "PASSENGERS") == [3, 1, 2]


async def test_words_in_typed_order_rank_first(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(
        alice, session_id, "we change my flight today", "my flight: they change, today", "my change of flight today"
    )
    assert (await seqs(alice, "change my flight"))[0] == 1
    assert (await seqs(alice, "change of flight"))[0] == 3


async def test_stop_words_count_for_the_order(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "flight from the gate then", "flight to the gate then", "gate the to flight then")
    assert (await seqs(alice, "flight to the gate"))[0] == 2


async def test_line_breaks_and_underscores_separate_words(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "seat\nmaps here", "seats then maps", "tab\tseat_maps here")
    hits = (await search(alice, "seat maps"))["items"]
    assert [hit["seq"] for hit in hits] == [1, 3, 2] or [hit["seq"] for hit in hits] == [3, 1, 2]
    assert hits[1]["rank"] > hits[2]["rank"]


async def test_short_results_of_tools_do_not_rank_before_what_was_said(
    alice: httpx.AsyncClient, session_id: str
) -> None:
    await add(alice, session_id, "zanzibar trip", tool_result("zanzibar"), tool_result("ok"))
    assert await seqs(alice, "zanzibar") == [1, 2]


async def test_large_messages_are_ranked_by_their_stems(alice: httpx.AsyncClient, session_id: str) -> None:
    words = " ".join(f"word{number * 7919 % 10007}" for number in range(5000))
    await add(alice, session_id, f"needles {words}", "a needle")
    hits = (await search(alice, "needle"))["items"]
    assert [hit["seq"] for hit in hits] == [2, 1]
    assert 0.5 < hits[1]["rank"] < hits[0]["rank"] < 1


async def test_pages_go_on_from_second_to_first_rank(alice: httpx.AsyncClient, session_id: str, sql: Sql) -> None:
    sql(MANY, session_id, 1, 130)
    hits = await all_pages(alice, "needle", limit=33)
    ranks = [hit["rank"] for hit in hits]
    assert sorted(hit["seq"] for hit in hits) == list(range(1, 131))
    assert ranks == sorted(ranks, reverse=True)
    assert [rank > 0.5 for rank in ranks] == [True] * 100 + [False] * 30


async def test_sessions_are_ranked_by_their_best_hit(alice: httpx.AsyncClient, config_id: str) -> None:
    sessions = []
    for text in ("my change of flight today", "we change my flight today", "my flight: they change, today"):
        created = await alice.post("/sessions", json={"config_id": config_id})
        sessions.append(created.json()["session_id"])
        await add(alice, sessions[-1], text)
    listed = (await alice.get("/sessions", params={"q": "change my flight"})).json()["sessions"]
    hits = (await search(alice, "change my flight"))["items"]
    assert listed[0]["session_id"] == sessions[1]
    assert [one["session_id"] for one in listed] == [hit["session_id"] for hit in hits]


async def test_words_that_are_parts_of_one_rank_as_typed(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "get a user for me", "it calls getUserById(7) here", "the getter of user seven here")
    assert await seqs(alice, "get user") == [2, 1]
    assert await seqs(alice, "user get") == [1, 2]
    assert (await seqs(alice, "user by id"))[0] == 2


def plain(pattern: str) -> tuple[str, str]:
    """A pattern of search_spelling without its boundaries, and what it has for words that are written as one."""
    inner, _, joined = pattern.removeprefix(r"(?:^|[^[:alnum:]]|\\[nt])").partition("(?:$|[^[:alnum:]])")
    spaced = inner.replace(r"(?:[^[:alnum:]]|\\[nt])+", " ")
    return spaced.replace("[[:alnum:]]*", "*"), joined.removeprefix("|").replace("[[:alnum:]]*", "*")


@pytest.mark.parametrize(
    ("typed", "words", "phrase", "joined"),
    [
        ("Seat maps", ["seat", "maps"], "seat maps", "seatmaps"),
        ('-x flight -"a b" to* or gate', ["flight", "to*", "gate"], "flight to* gate", "flightto*gate"),
        ("find_seat --help", ["find", "seat", "help"], "find seat help", "findseathelp"),
        ("seat", ["seat"], None, ""),
        ("東京 hotel", ["東京", "hotel"], None, ""),
        ("(*[.$^\\", [], None, ""),
        ("", [], None, ""),
        ("a b c d", list("abcd"), "a b c d", ""),
        (" ".join("abcdefghijkl"), list("abcdefghij"), " ".join("abcdefghij"), ""),
    ],
)
def test_typed_words_as_patterns(sql: Sql, typed: str, words: list[str], phrase: str | None, joined: str) -> None:
    """Two or three words may be written as one."""
    [row] = sql("select words, phrase from search_spelling(%s)", typed)
    assert [*map(plain, row[0])] == [(word, joined) for word in words]
    assert row[1] is None if phrase is None else plain(row[1]) == (phrase, joined)


def test_weights_are_the_same_in_all_searches() -> None:
    """The lists of messages and of sessions use one formula, on databases with Citus, too."""
    found: list[Any] = []
    for name in ("search.sql", "citus/search.sql"):
        text = (paths.folder("queries") / name).read_text()
        found += [part.split("\n),\n")[0] for part in text.replace(" materialized", "").split("weights as (")[1:]]
    assert len(found) == 4
    assert len(set(found)) == 1
