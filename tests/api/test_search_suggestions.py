"""`did_you_mean` of searches: the words it offers, and those it never does."""

from typing import Any

import httpx
import pytest

from tests.api.test_search import Sql, add, search, second_session
from tests.api.test_search_access import READERS, WRITERS, Shared, shared
from tests.conftest import Api

__all__ = ["shared"]


async def meant(client: httpx.AsyncClient, q: str, path: str = "/search", **params: Any) -> str | None:
    """Returns `did_you_mean` of a search, which it is only part of if nothing was found."""
    results = await search(client, q, path, **params)
    found = results["sessions" if path == "/sessions" else "items"]
    assert not (found and "did_you_mean" in results)
    suggestion: str | None = results.get("did_you_mean")
    return suggestion


async def test_similar_words_are_offered(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "Three passengers changed a Reservation to Zanzibar; the flight is full")
    for typed, expected in {
        "zanzbar": "zanzibar",
        "zanizbar": "zanzibar",
        "zanzibarr flight": "zanzibar flight",
        "resrvatoin": "reservation",
        "pasengers": "passengers",
        '"fliht"': '"flight"',
        "Zanzbar -hotel": "zanzibar -hotel",
        "fligth or hotell": "flight or hotell",
    }.items():
        for path in ("/search", f"/sessions/{session_id}/search", "/sessions"):
            assert await meant(alice, typed, path) == expected, (typed, path)


async def test_nothing_is_offered_for_other_words(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "a flight to Zanzibar", "an hotel")
    for typed in ("umbrella", "flight umbrella", "fl", "flight hotel", "flihgt hotl", "-flihgt", "the", "fgilth", "?!"):
        assert await meant(alice, typed) is None, typed


async def test_words_of_strangers_are_never_offered(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "the flight to Zanzibar")
    await alice.patch(f"/sessions/{session_id}", json={"title": "Umbrella", "tags": {"city": "Timbuktu"}})
    stranger = await api.as_user("stranger")
    for typed, expected in {"zanzbar": "zanzibar", "umbrela": "umbrella", "timbuktuu": "timbuktu"}.items():
        for path in ("/search", "/sessions"):
            assert await meant(alice, typed, path) == expected
            assert await meant(stranger, typed, path) is None


async def test_removed_participant_is_offered_nothing(shared: Shared) -> None:
    await shared.add("zanzibar")
    assert await meant(shared.clients["viewer"], "zanzbar") == "zanzibar"
    await shared.clients["alice"].delete(f"/sessions/{shared.session_id}/participants/viewer")
    assert await meant(shared.clients["viewer"], "zanzbar") is None


async def test_readers_are_offered_no_word_of_thoughts(shared: Shared) -> None:
    await shared.add({"role": "assistant", "content": "hay", "thinking_text": "zebra crossing"})
    for who in WRITERS:
        assert await meant(shared.clients[who], "zebar") == "zebra"
    for who in READERS:
        assert await meant(shared.clients[who], "zebar") is None
        assert await meant(shared.clients[who], "zebar", f"/sessions/{shared.session_id}/search") is None


async def test_search_within_a_session_offers_its_words(
    alice: httpx.AsyncClient, session_id: str, config_id: str
) -> None:
    other = await second_session(alice, config_id)
    await add(alice, other, "zanzibar")
    assert await meant(alice, "zanzbar", f"/sessions/{session_id}/search") is None
    assert await meant(alice, "zanzbar", session_id=session_id) is None
    assert await meant(alice, "zanzbar", session_id=other) == "zanzibar"


async def test_what_is_offered_is_found_with_the_same_filters(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, "zanzibar")
    assert await meant(alice, "zanzbar", role="user") == "zanzibar"
    assert await meant(alice, "zanzbar", role="tool") is None


@pytest.mark.parametrize(
    ("language", "text", "typed", "expected"),
    [
        ("german", "Die Überweisungen nach Köln", "überwiesungen", "überweisungen"),
        ("french", "les réservations sont annulées", "réservatoins", "réservations"),
        ("russian", "полёты отменены", "отменины", "отменены"),
        ("spanish", "tres pasajeros viajaron", "pasageros", "pasajeros"),
    ],
)
async def test_words_of_other_languages(
    alice: httpx.AsyncClient, config_id: str, language: str, text: str, typed: str, expected: str
) -> None:
    session_id = await second_session(alice, config_id, metadata={"language": language})
    await add(alice, session_id, text)
    assert await meant(alice, typed) == expected


async def test_empty_corpus_offers_nothing(alice: httpx.AsyncClient, session_id: str) -> None:
    assert await meant(alice, "zanzbar") is None
    assert await meant(alice, "zanzbar", "/sessions") is None


@pytest.mark.parametrize(
    "q",
    [
        "\\",
        "%_'",
        '"',
        "a" * 1000,
        "-" * 1000,
        "abc " * 250,
        "ünï* zz",
        "東京都庁",
        "' or ''='",
        "\ue000abc",
        "(?:^|x)",
    ],
)
async def test_hostile_words_offer_nothing(alice: httpx.AsyncClient, session_id: str, q: str) -> None:
    await add(alice, session_id, "zanzibar")
    assert await meant(alice, q) is None


async def test_long_messages_and_many_words_are_bounded(alice: httpx.AsyncClient, session_id: str) -> None:
    await add(alice, session_id, " ".join(f"word{number}" for number in range(3000)), "zanzibar")
    assert await meant(alice, " ".join(["zanzbar", *["zanzbar"] * 100])) == " ".join(["zanzibar"] * 101)


def test_distance_of_words(sql: Sql) -> None:
    pairs = {("flihgt", "flight"): 1, ("flght", "flight"): 1, ("flights", "flight"): 1, ("fligkt", "flight"): 1}
    pairs |= {("same", "same"): 0, ("", "ab"): 2, ("kitten", "sitting"): 3, ("abcdef", "x"): 4, ("ca", "abc"): 3}
    for (first, second), expected in pairs.items():
        assert sql("select search_distance(%s, %s, 3)", first, second) == [(expected,)], (first, second)
        assert sql("select search_distance(%s, %s, 3)", second, first) == [(expected,)], (second, first)
