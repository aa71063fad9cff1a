"""Languages of the search over HTTP: words match by the stems of the session's language."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import CONFIG, Api

Sql = Callable[..., list[Any]]

ODD = ["", "klingon", "xx", "de_AT", "english'; --", 'ger"man', "pg_catalog.german", "x" * 60_000, 5, True, None]
ODD += [{}, {"de": 1}, [], ["german"], "\u0001", "😀", "-", "0", "3748"]


@pytest.fixture
def configuration(sql: Sql) -> Iterator[Callable[[str], None]]:
    """Makes text search configurations of a DBA's, and drops those that are left."""
    made: list[str] = []

    def make(name: str) -> None:
        made.append(name)
        sql(f'create text search configuration "{name}" (copy = simple)')

    yield make
    for name in made:
        sql(f'drop text search configuration if exists "{name}"')


async def test_words_match_by_their_english_stems(alice: httpx.AsyncClient, session_id: str) -> None:
    await say(alice, session_id, "Your flights were cancelled")
    for typed in ("flight", "FLIGHTS", "cancelling flight", "cancel*", '"flight was cancelled"', "canc*"):
        assert await found(alice, typed) == {session_id}, typed
    for typed in ("flighty", "-flight", "fly"):
        assert await found(alice, typed) == set(), typed


@pytest.mark.parametrize("name", ["german", "German", "de", "DE", "de-AT", "de-ch"])
async def test_session_may_name_its_language(alice: httpx.AsyncClient, config_id: str, name: str) -> None:
    session_id = await create(alice, config_id, metadata={"language": name}, title="Billige Häuser")
    await say(alice, session_id, "Zwei Flüge nach Wien")
    for typed in ("Flug", "flüge", "fluges", "haus", "Flüg*"):
        assert await found(alice, typed) == {session_id}, typed


async def test_config_gives_its_language_to_its_sessions(alice: httpx.AsyncClient) -> None:
    config_id = await create_config(alice, {"language": "german"})
    german = await create(alice, config_id)
    english = await create(alice, config_id, metadata={"language": "en"})
    nameless = await create(alice, config_id, metadata={"language": None})
    for session_id in (german, english, nameless):
        await say(alice, session_id, "Häuser, running")
    assert await found(alice, "haus") == {german, nameless}
    assert await found(alice, "run") == {english}
    assert await found(alice, "häuser") == {german, nameless, english}


@pytest.mark.parametrize("language", ODD, ids=lambda language: repr(language)[:20])
async def test_unknown_language_means_the_default(alice: httpx.AsyncClient, config_id: str, language: Any) -> None:
    session_id = await create(alice, config_id, metadata={"language": language}, title="Cheap houses")
    await say(alice, session_id, "flights")
    assert await found(alice, "flight") == await found(alice, "house") == {session_id}
    inherited = await create(alice, await create_config(alice, {"language": language}))
    await say(alice, inherited, "trains")
    assert await found(alice, "train") == {inherited}
    assert (await alice.patch(f"/sessions/{session_id}", json={"metadata": {"language": language}})).status_code == 200


async def test_one_query_finds_by_the_stems_of_each_session(alice: httpx.AsyncClient, config_id: str) -> None:
    english, german = await create(alice, config_id), await create(alice, config_id, metadata={"language": "german"})
    await say(alice, english, "The houses of Vienna")
    await say(alice, german, "Die Häuser von Wien")
    assert await found(alice, "house or haus") == {english, german}
    assert await found(alice, "haus") == {german}
    assert await found(alice, "the") == set()
    both = await create(alice, config_id, metadata={"language": "simple"})
    await say(alice, both, "the house")
    assert await found(alice, "the") == {both}, "a word that only some languages leave out"
    answer = (await alice.get("/sessions", params={"q": "house or haus"})).json()
    assert {entry["session_id"] for entry in answer["sessions"]} == {english, german, both}


async def test_changed_language_holds_for_the_title_at_once(alice: httpx.AsyncClient, session_id: str) -> None:
    path = f"/sessions/{session_id}"
    await alice.patch(path, json={"title": "Häuser", "tags": {"thema": "Flüge"}})
    assert await found(alice, "haus") == await found(alice, "flug") == set()
    await alice.patch(path, json={"metadata": {"language": "german"}})
    assert await found(alice, "haus") == await found(alice, "flug") == {session_id}
    await say(alice, session_id, "Bäume")
    assert await found(alice, "baum") == {session_id}
    await alice.patch(path, json={"metadata": {}})
    assert await found(alice, "haus") == await found(alice, "flug") == set()


@pytest.mark.parametrize("language", ["english", "french", "simple"])
async def test_case_does_not_matter_with_accents_either(
    alice: httpx.AsyncClient, config_id: str, language: str
) -> None:
    session_id = await create(alice, config_id, metadata={"language": language})
    await say(alice, session_id, "L'ÉCOLE EST FERMÉE, ça va? ΑΘΗΝΑ ЩИ")
    for typed in ("école", "École", "fermée", "ÇA", "αθηνα", "щи", "éco*"):
        assert await found(alice, typed) == {session_id}, typed


@pytest.mark.parametrize("name", ["mine", "my.own", "my own", "my-own", "12", "it's"])
async def test_configuration_of_a_dba_may_be_dropped_later(
    alice: httpx.AsyncClient, config_id: str, sql: Sql, configuration: Callable[[str], None], name: str
) -> None:
    configuration(name)
    session_id = await create(alice, config_id, metadata={"language": name}, title="Houses")
    await say(alice, session_id, "the flights")
    assert await found(alice, "the") == {session_id}, "simple has no stop words"
    assert await found(alice, "flight") == set()
    sql(f'drop text search configuration "{name}"')
    await say(alice, session_id, "some trains")
    assert await found(alice, "train") == {session_id}
    assert (await alice.patch(f"/sessions/{session_id}", json={"title": "Cars"})).status_code == 200
    assert await found(alice, "car") == {session_id}


async def test_language_is_the_sessions_for_whoever_searches(
    api: Api, alice: httpx.AsyncClient, config_id: str
) -> None:
    session_id = await create(alice, config_id, metadata={"language": "german"})
    await say(alice, session_id, "Flüge")
    bob = await api.as_user("bob")
    await bob.get("/users/me")
    added = await alice.post(f"/sessions/{session_id}/participants", json={"user_id": "bob", "role": "viewer"})
    assert added.status_code == 201, added.text
    assert await found(bob, "flug") == {session_id}


async def create_config(client: httpx.AsyncClient, metadata: dict[str, Any]) -> str:
    config_data = {**CONFIG["config_data"], "metadata": metadata}  # type: ignore[dict-item]
    answer = await client.post("/configs", json={**CONFIG, "config_data": config_data})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["config_id"])


async def create(client: httpx.AsyncClient, config_id: str, **body: Any) -> str:
    answer = await client.post("/sessions", json={"config_id": config_id, **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["session_id"])


async def say(client: httpx.AsyncClient, session_id: str, text: str) -> None:
    body = {"messages": [{"role": "user", "content": text}]}
    answer = await client.post(f"/sessions/{session_id}/transcript", json=body)
    assert answer.status_code == 201, answer.text


async def found(client: httpx.AsyncClient, typed: str) -> set[str]:
    """The sessions in which something is found."""
    answer = await client.get("/search", params={"q": typed})
    assert answer.status_code == 200, answer.text
    return {hit["session_id"] for hit in answer.json()["items"]}
