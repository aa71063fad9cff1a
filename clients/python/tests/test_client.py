"""Sessions, messages, search and lists, and the synchronous client, which is made from the asynchronous one."""

import asyncio
import io
import json
import pickle
import subprocess
from collections.abc import AsyncIterator

import pytest
from amplifier_client import Amplifier, AsyncAmplifier, NoConnection, errors
from serving import ROOT, Service

HELLO = {"role": "user", "content": "Is there a flight to Geneva?"}


@pytest.fixture
async def client(service: Service) -> AsyncIterator[AsyncAmplifier]:
    async with AsyncAmplifier() as client:
        yield client


async def test_session_of_a_key_is_created_once_by_racing_clients(client: AsyncAmplifier, key: str) -> None:
    others = [AsyncAmplifier() for _ in range(6)]
    ids = await asyncio.gather(*(other.session(key, title="Geneva").id() for other in others))
    assert len(set(ids)) == 1
    row = await client.session(key, title="Paris").get()
    assert (row.session_id, row.title, row.external_id) == (ids[0], "Geneva", key)
    for other in others:
        await other.aclose()


async def test_session_without_key_is_created_at_its_first_use(client: AsyncAmplifier) -> None:
    session = client.session(title="Without key", metadata={"a": 1})
    row = await session.get()
    assert (row.title, row.metadata, row.external_id) == ("Without key", {"a": 1}, None)
    assert (await client.session(id=row.session_id).get()).session_id == row.session_id


async def test_deleted_session_of_a_key_is_created_anew(client: AsyncAmplifier, key: str) -> None:
    session, other = client.session(key), client.session(key)
    await session.append([HELLO])
    former = await other.id()
    await AsyncAmplifier().session(key).delete()
    assert (await session.append([HELLO])).messages_total == 1
    assert await other.id() != former


async def test_find_creates_nothing(client: AsyncAmplifier, key: str) -> None:
    assert await client.find(key) is None
    await client.session(key).append([HELLO])
    found = await client.find(key)
    assert found is not None
    assert [entry.message for entry in await found.messages()] == [HELLO]
    await found.delete()
    await found.delete()
    assert await client.find(key) is None


async def test_messages_are_read_from_both_ends(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key)
    await session.append([{"role": "user", "content": str(number)} for number in range(25)])
    contents = [entry.message["content"] async for entry in session.iterate(page=10)]
    assert contents == [str(number) for number in range(25)]
    assert [entry.message["content"] for entry in await session.messages(last=3)] == ["22", "23", "24"]
    assert [entry.seq for entry in await session.messages(after=20, limit=2)] == [21, 22]
    assert len(await session.messages(last=100)) == len(await session.messages()) == 25
    assert await session.messages(last=0) == []


@pytest.mark.parametrize("text", ["\ud83d", "\x00", "é\U0001f600", "\\"])
async def test_any_text_comes_back_as_it_was_sent(client: AsyncAmplifier, key: str, text: str) -> None:
    message = {"role": "user", "content": text, "number": 2**80}
    await client.session(key).append([message])
    assert [entry.message for entry in await client.session(key).messages()] == [message]


async def test_number_that_json_does_not_have_is_refused(client: AsyncAmplifier, key: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        await client.session(key).append([{"role": "user", "content": float("nan")}])


async def test_changes_are_merged(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key, metadata={"a": 1, "b": {"c": 2}}, tags={"x": "1"})
    await session.id()
    row = await session.update(title="Geneva", metadata={"a": None, "b": {"d": 3}}, tags={"y": "2"})
    assert (row.title, row.metadata, row.tags) == ("Geneva", {"b": {"c": 2, "d": 3}}, {"x": "1", "y": "2"})


async def test_sessions_are_listed_and_searched(client: AsyncAmplifier, key: str) -> None:
    word = key.rpartition("/")[2].replace("-", "")
    for number in range(3):
        session = client.session(f"{key}/{number}", tags={"test": word}, metadata={"number": number})
        await session.append([{"role": "user", "content": f"looking for {word}"}])
    rows = [row async for row in client.sessions(tags={"test": word}, include=["metadata", "last_message"], limit=2)]
    assert [row.metadata for row in rows] == [{"number": number} for number in (2, 1, 0)]
    assert [row.external_id for row in rows] == [f"{key}/{number}" for number in (2, 1, 0)]
    found = await client.search(word, tags={"test": word}, limit=50)
    assert [hit.seq for hit in found.items].count(1) == 3
    assert [hit.seq for hit in (await session.search(word)).items if hit.seq] == [1]


async def test_fork_has_the_messages_up_to_a_number(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key)
    await session.append([HELLO, {"role": "assistant", "content": "Yes."}])
    assert [entry.message for entry in await (await session.fork(1)).messages()] == [HELLO]


async def test_state_is_merged_with_an_append(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key)
    await session.append([HELLO], state={"session": {"a": 1, "b": {"c": 2}}})
    await session.append([HELLO], state={"session": {"a": None, "b": {"d": 3}}})
    state = (await session.state()).session
    assert (state.document, state.version) == ({"b": {"c": 2, "d": 3}}, 2)
    patched = await session.update_state(session={"e": 4}, versions={"session": 2})
    assert patched.session is not None
    assert patched.session.version == 3
    with pytest.raises(errors.Stale):
        await session.update_state(session={"e": 5}, versions={"session": 2})


async def test_stale_append_tells_what_was_missed(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key)
    await session.append([HELLO])
    with pytest.raises(errors.Stale) as caught:
        await session.append([HELLO], expected_seq=0)
    assert (caught.value.status, caught.value.last_seq) == (412, 1)
    assert [entry.message for entry in caught.value.missed] == [HELLO]


async def test_problem_names_what_does_not_fit(client: AsyncAmplifier, key: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await client.session(key).append([{"role": 7}])
    copied = pickle.loads(pickle.dumps(caught.value))
    for problem in (caught.value, copied):
        assert (problem.status, problem.errors[0].field) == (422, "messages[0].role")
        assert problem.detail in str(problem)
    with pytest.raises(errors.NotFound):
        await client.session(id="no-such-session").get()


async def test_service_that_is_not_there_is_named() -> None:
    client = AsyncAmplifier("http://127.0.0.1:9", retries=0)
    with pytest.raises(NoConnection, match=r"127\.0\.0\.1:9"):
        await client.session("x").get()


async def test_large_appends_are_sent_line_by_line(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key)
    appended = await session.append([HELLO] * 1001, expected_seq=0)
    assert (appended.first_seq, appended.last_seq) == (1, 1001)
    assert (await session.append([{"role": "user", "content": "x" * 5_000_000}] * 2)).messages_total == 1003
    with pytest.raises(errors.Stale):
        await session.append([HELLO] * 1001, expected_seq=1)


def test_synchronous_client_does_the_same(service: Service, key: str) -> None:
    with Amplifier() as client:
        session = client.session(key, title="Geneva")
        assert session.append([HELLO]).last_seq == 1
        assert [entry.message for entry in session] == [HELLO]
        assert [event.type for event, _ in zip(session.follow(after=0), range(1), strict=False)] == ["message.created"]
        assert key in {row.external_id for row in client.sessions()}
        session.delete()
        assert client.find(key) is None


def test_client_is_used_by_several_event_loops(service: Service, key: str) -> None:
    client = AsyncAmplifier()

    async def use() -> int:
        total = (await client.session(key).append([HELLO])).messages_total
        await client.aclose()
        return total

    assert [asyncio.run(use()), asyncio.run(use())] == [1, 2]


def test_generated_modules_are_as_the_generator_writes_them() -> None:
    command = [ROOT / ".venv/bin/python", ROOT / "clients/python/generate.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


async def test_transcript_is_exported_in_any_format(client: AsyncAmplifier, key: str) -> None:
    session = client.session(key, title="Geneva")
    await session.append([HELLO])
    assert json.loads(await session.export("openai")) == {"messages": [HELLO]}
    assert json.loads(await session.export(after=0))["message"] == HELLO
    file = io.BytesIO()
    assert await session.export_to(file, "markdown") == len(file.getvalue())
    assert file.getvalue().startswith(b"# Geneva\n")
    with pytest.raises(errors.NotFound):
        await client.session(id="nothing").export()
