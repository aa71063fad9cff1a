"""Sessions of Google's ADK: what its own services promise, and runs with a stub of the model."""

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import model
import pytest
from amplifier_client import AsyncAmplifier, errors
from amplifier_client.adk import AmplifierSessionService
from faults import LosesAnswers
from google.adk.agents import Agent
from google.adk.cli.service_registry import get_service_registry, load_services_module
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events import Event, EventActions
from google.adk.runners import Runner
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types
from serving import Service


@pytest.fixture
def store(service: Service) -> AmplifierSessionService:
    return AmplifierSessionService()


@pytest.fixture
def other(service: Service) -> AmplifierSessionService:
    """The service of another process."""
    return AmplifierSessionService(AsyncAmplifier())


@pytest.fixture
def app() -> str:
    return f"app_{uuid.uuid4().hex}"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[model.Stub]:
    """The model's API."""
    with model.running() as stub:
        for name, value in stub.environ.items():
            monkeypatch.setenv(name, value)
        yield stub


def said(text: str, **more: Any) -> Event:
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return Event(author="user", invocation_id="turn", content=content, **more)


def changed(**delta: Any) -> Event:
    return Event(author="desk", actions=EventActions(state_delta=delta))


async def again(store: AmplifierSessionService, session: Session, **config: Any) -> Session:
    """Returns the session as the store has it."""
    names = {"app_name": session.app_name, "user_id": session.user_id, "session_id": session.id}
    found = await store.get_session(**names, config=GetSessionConfig(**config))
    assert found is not None
    return found


async def test_session_comes_back_equal(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str
) -> None:
    session = await store.create_session(app_name=app, user_id="mia/ü %", state={"seat": "14A"})
    assert await again(other, session) == session
    call = types.Part.from_function_call(name="book", args={"flight": "HAT136"})
    answer = types.Part.from_function_response(name="book", response={"seat": None})
    image = types.Part.from_bytes(data=b"\x00\xff", mime_type="image/png")
    for part in (call, answer, image):
        event = said("x", long_running_tool_ids={"b", "a"}, custom_metadata={"a": [None]}, timestamp=1700000000.123)
        event.content = types.Content(role="model", parts=[part])
        await store.append_event(session, event)
    assert (await again(other, session)).events == session.events
    assert await again(other, session) == session
    assert session.last_update_time == 1700000000.123


async def test_one_of_several_creators_wins(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str
) -> None:
    ids = {"app_name": app, "user_id": "mia", "session_id": "one"}
    calls = [one.create_session(**ids, state={"winner": n}) for n, one in enumerate([store, other] * 8)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    [winner] = [result for result in results if isinstance(result, Session)]
    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 15
    assert (await again(store, winner)).state == winner.state


async def test_state_has_the_scope_of_its_prefix(store: AmplifierSessionService, app: str) -> None:
    first = await store.create_session(
        app_name=app, user_id="mia", state={"a": 1, "user:b": 1, "app:c": 1, "temp:d": 1}
    )
    assert first.state == {"a": 1, "user:b": 1, "app:c": 1}
    await store.append_event(first, changed(**{"a": 2, "user:b": 2, "app:c": 2, "x:y": 2}))
    second = await store.create_session(app_name=app, user_id="mia")
    assert second.state == {"user:b": 2, "app:c": 2}
    assert (await store.create_session(app_name=app, user_id="noa")).state == {"app:c": 2}
    assert (await store.create_session(app_name=f"{app}2", user_id="mia")).state == {}
    assert (await again(store, first)).state == {"a": 2, "user:b": 2, "app:c": 2, "x:y": 2}
    assert await store.get_user_state(app_name=app, user_id="mia") == {"b": 2}
    assert await store.get_user_state(app_name=app, user_id="noa") == {}


@pytest.mark.parametrize("value", [None, {"b": 1}, [], [1], [[1]], "text", 0.5, 2**70, False, {"a": None}])
async def test_value_of_state_replaces_the_former_one(store: AmplifierSessionService, app: str, value: Any) -> None:
    session = await store.create_session(app_name=app, user_id="mia", state={"k": {"a": 1}, "user:k": [1], "app:k": {}})
    await store.append_event(session, changed(**{"k": value, "user:k": value, "app:k": value}))
    assert (await again(store, session)).state == dict.fromkeys(("k", "user:k", "app:k"), value)


async def test_temporary_state_is_only_in_memory(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    await store.append_event(session, changed(**{"temp:a": 1, "b": 2}))
    assert session.state == {"temp:a": 1, "b": 2}
    stored = await again(store, session)
    assert (stored.state, stored.events[0].actions.state_delta) == ({"b": 2}, {"b": 2})


async def test_partial_event_is_not_stored(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    await store.append_event(session, said("Is th", partial=True))
    assert session.events == (await again(store, session)).events == []


async def test_event_that_is_sent_again_is_stored_once(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    event = await store.append_event(session, said("Hello"))
    await store.append_event(session, event.model_copy(deep=True))
    assert session.events == (await again(store, session)).events == [event]
    with pytest.raises(AlreadyExistsError):
        await store.append_event(session, said("Something else", id=event.id))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"num_recent_events": 0}, []),
        ({"num_recent_events": 3}, [3, 4, 5]),
        ({"num_recent_events": 9}, [1, 2, 3, 4, 5]),
        ({"after_timestamp": 4.0}, [4, 5]),
        ({"after_timestamp": 6.0}, []),
        ({"after_timestamp": 2.0, "num_recent_events": 3}, [3, 4, 5]),
        ({"after_timestamp": 4.0, "num_recent_events": 3}, [4, 5]),
    ],
)
async def test_recent_events(
    store: AmplifierSessionService, app: str, config: dict[str, Any], expected: list[int]
) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    for number in range(1, 6):
        await store.append_event(session, said("x", timestamp=float(number)))
    found = await again(store, session, **config)
    assert [event.timestamp for event in found.events] == expected
    assert found.last_update_time == 5.0
    await store.append_event(found, said("x"))


async def test_events_after_a_time_in_a_long_session(
    store: AmplifierSessionService, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amplifier_client.adk._PAGE", 2)
    session = await store.create_session(app_name=app, user_id="mia")
    for number in range(30):
        await store.append_event(session, said("x", timestamp=float(number)))
    for after in (0.0, 5.0, 28.0):
        found = await again(store, session, after_timestamp=after)
        assert [event.timestamp for event in found.events] == [float(n) for n in range(int(after), 30)]


async def test_stale_writer_is_refused(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str
) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    copies = [await again(store, session), await again(other, session)]
    calls = [
        one.append_event(copy, changed(**{str(n): n}))
        for n, (one, copy) in enumerate(zip((store, other), copies, strict=True))
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Event", "StaleSessionError"]
    [stale] = [copy for copy in copies if not copy.events]
    assert stale.state == {}
    fresh = await again(other, session)
    assert len(fresh.events) == len(fresh.state) == 1
    await other.append_event(fresh, said("Hello"))
    assert len((await again(store, session)).events) == 2


async def test_change_that_is_no_event_makes_no_writer_stale(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia", session_id="one")
    await AsyncAmplifier().session(f"adk/{app}/mia/one").update(title="Geneva")
    await store.append_event(session, said("Hello"))
    assert len((await again(store, session)).events) == 1


async def test_session_without_marker_is_compared_by_its_last_event(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    copy = Session.model_validate_json(session.model_dump_json())
    await store.append_event(copy, said("one"))
    await store.append_event(Session.model_validate_json(copy.model_dump_json()), said("two"))
    with pytest.raises(StaleSessionError, match="modified in storage"):
        await store.append_event(Session.model_validate_json(copy.model_dump_json()), said("three"))


async def test_parallel_branches_append_to_one_session(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    await asyncio.gather(*(store.append_event(session, changed(**{str(n): n, "user:all": n})) for n in range(16)))
    stored = await again(store, session)
    assert (len(stored.events), len(stored.state)) == (16, 17)
    assert stored == session


async def test_messages_of_other_clients_are_no_events(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia", session_id="one")
    await AsyncAmplifier().session(f"adk/{app}/mia/one").append([{"role": "user", "content": "A note"}])
    assert (await again(store, session)).events == []
    with pytest.raises(StaleSessionError):
        await store.append_event(session, said("Hello"))
    await store.append_event(await again(store, session), said("Hello"))


async def test_sessions_are_listed_by_their_last_change(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str
) -> None:
    for number, user in enumerate(("mia", "mia", "noa", "mia")):
        state = {"n": number, "user:u": user}
        session = await store.create_session(app_name=app, user_id=user, session_id=str(number), state=state)
        if number == 1:
            second = session
    await store.append_event(second, changed(**{"k": {"a": None}, "app:c": [1]}))
    await other.create_session(app_name=f"{app}2", user_id="mia")
    own = (await other.list_sessions(app_name=app, user_id="mia")).sessions
    assert [(one.id, one.user_id, one.events) for one in own] == [(id, "mia", []) for id in ("0", "3", "1")]
    assert own[0].state == {"n": 0, "user:u": "mia", "app:c": [1]}
    assert own[2].state == {"n": 1, "k": {"a": None}, "user:u": "mia", "app:c": [1]}
    everybody = (await other.list_sessions(app_name=app)).sessions
    users = {"0": "mia", "2": "noa", "3": "mia", "1": "mia"}
    assert [(one.id, one.state["user:u"]) for one in everybody] == list(users.items())
    assert (await other.list_sessions(app_name=app, user_id="zoe")).sessions == []


async def test_more_sessions_than_a_page_are_listed(store: AmplifierSessionService, app: str) -> None:
    await asyncio.gather(*(store.create_session(app_name=app, user_id="mia") for _ in range(101)))
    assert len((await store.list_sessions(app_name=app, user_id="mia")).sessions) == 101


async def test_deleted_session_is_gone_and_its_id_free(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str
) -> None:
    ids = {"app_name": app, "user_id": "mia", "session_id": "one"}
    session = await store.create_session(**ids, state={"a": 1, "user:b": 1})
    await other.delete_session(**ids)
    await store.delete_session(**ids)
    assert await store.get_session(**ids) is None
    with pytest.raises(SessionNotFoundError):
        await store.append_event(session, said("Hello"))
    assert await store.get_session(**ids) is None, "the append did not create it"
    assert (await other.create_session(**ids)).state == {"user:b": 1}
    with pytest.raises(SessionNotFoundError):
        await store.append_event(session, said("Hello"))


async def test_state_that_does_not_fit_leaves_no_session(store: AmplifierSessionService, app: str) -> None:
    ids = {"app_name": app, "user_id": "mia", "session_id": "one"}
    with pytest.raises(errors.Invalid):
        await store.create_session(**ids, state={"large": "x" * 70_000})
    assert await store.get_session(**ids) is None


async def test_runs_continue_in_another_process(
    store: AmplifierSessionService, other: AmplifierSessionService, app: str, stub: model.Stub
) -> None:
    agent = Agent(name="desk", model="gemini-2.5-flash", output_key="answer")
    ids = {"app_name": app, "user_id": "mia", "session_id": "one"}
    word = uuid.uuid4().hex
    await store.create_session(**ids)
    for one, question in ((store, f"Is there a flight to {word}?"), (other, "And back?")):
        runner = Runner(agent=agent, app_name=app, session_service=one)
        message = types.Content(role="user", parts=[types.Part(text=question)])
        async for _ in runner.run_async(user_id="mia", session_id="one", new_message=message):
            pass
    assert [content["role"] for content in stub.requests[1]["contents"]] == ["user", "model", "user"]
    stored = await store.get_session(**ids)
    assert stored is not None
    assert [event.author for event in stored.events] == ["user", "desk", "user", "desk"]
    assert stored.state == {"answer": "You said: And back?"}
    found = await AsyncAmplifier().search(f'"flight to {word}"')
    assert sorted(hit.role for hit in found.items) == ["assistant", "user"]


async def test_application_acts_for_the_users_of_adk(secured: Service, app: str) -> None:
    api_key = secured.application(app.replace("_", "-"), "--act-as")
    store = AmplifierSessionService(AsyncAmplifier(secured.url, api_key=api_key))
    session = await store.create_session(app_name=app, user_id="mia", session_id="one", state={"user:a": 1, "app:b": 1})
    await store.append_event(session, said("Hello"))
    assert (await store.create_session(app_name=app, user_id="noa", session_id="one")).state == {"app:b": 1}
    assert [one.user_id for one in (await store.list_sessions(app_name=app, user_id="noa")).sessions] == ["noa"]
    mia = AsyncAmplifier(secured.url, api_key=api_key, user="mia")
    assert [row.role async for row in mia.sessions()] == ["owner"]
    with pytest.raises(ValueError, match="name a user"):
        await store.list_sessions(app_name=app)


async def test_application_that_may_not_act_is_told_so(secured: Service, app: str) -> None:
    store = AmplifierSessionService(AsyncAmplifier(secured.url, api_key=secured.application(app.replace("_", "-"))))
    with pytest.raises(errors.Problem, match="may not act for the user"):
        await store.create_session(app_name=app, user_id="mia")


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("amplifier://", "http://from-environment:1"),
        ("amplifier://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("amplifier://sessions.example.com", "https://sessions.example.com"),
    ],
)
def test_service_of_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, url: str) -> None:
    monkeypatch.setenv("AMPLIFIER_URL", "http://from-environment:1")
    line = "{scheme: amplifier, type: session, class: amplifier_client.adk.AmplifierSessionService}"
    (tmp_path / "services.yaml").write_text(f"services: [{line}]")
    load_services_module(str(tmp_path))
    store = get_service_registry().create_session_service(uri, agents_dir=str(tmp_path))
    assert isinstance(store, AmplifierSessionService)
    assert store._client._options.url == url


async def test_event_whose_answer_is_lost_is_stored_once(store: AmplifierSessionService, app: str) -> None:
    session = await store.create_session(app_name=app, user_id="mia")
    transport = LosesAnswers(1, "POST")
    other = AmplifierSessionService(AsyncAmplifier(transport=transport))
    await other.append_event(session, changed(a=1))
    await other.append_event(session, said("Hello"))
    assert len(transport.requests) == 3
    assert await again(store, session) == session
    assert len(session.events) == 2
