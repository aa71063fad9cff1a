"""Sessions of Strands Agents: every method, and agents that continue."""

from collections.abc import Iterator
from typing import Any

import model
import pytest
from amplifier_client import Amplifier
from amplifier_client.strands import AmplifierSessionRepository
from faults import LosesAnswersSync
from serving import Service
from strands import Agent
from strands.models.openai_responses import OpenAIResponsesModel
from strands.multiagent import GraphBuilder
from strands.session import RepositorySessionManager
from strands.types.exceptions import SessionException
from strands.types.session import Session, SessionAgent, SessionMessage, SessionType

AGENT = "desk"


@pytest.fixture
def repository(service: Service, key: str) -> AmplifierSessionRepository:
    repository = AmplifierSessionRepository()
    repository.create_session(Session(key, SessionType.AGENT))
    return repository


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[model.Stub]:
    """The model's API."""
    with model.running() as stub:
        for name, value in stub.environ.items():
            monkeypatch.setenv(name, value)
        yield stub


def message(number: int, *blocks: Any, role: Any = "user") -> SessionMessage:
    return SessionMessage({"role": role, "content": list(blocks) or [{"text": str(number)}]}, number)


def numbers(messages: list[SessionMessage]) -> list[int]:
    return [one.message_id for one in messages]


def test_session_that_nobody_used_is_not_there(service: Service, key: str) -> None:
    repository = AmplifierSessionRepository()
    assert repository.read_session(key) is None
    assert repository.read_agent(key, AGENT) is None
    assert repository.read_multi_agent(key, "graph") is None
    assert repository.list_messages(key, AGENT) == []
    assert Amplifier().find(key) is None


def test_two_processes_that_begin_a_session_use_the_same(repository: AmplifierSessionRepository, key: str) -> None:
    AmplifierSessionRepository(Amplifier()).create_session(Session(key, SessionType.AGENT))
    found = repository.read_session(key)
    assert found is not None
    assert (found.session_id, found.session_type) == (key, SessionType.AGENT)


def test_state_of_an_agent_is_replaced_whole(repository: AmplifierSessionRepository, key: str) -> None:
    first = SessionAgent(AGENT, {"seat": {"row": 3, "side": "A"}, "meal": "none"}, {"removed": 0}, {"image": b"png"})
    repository.create_agent(key, first)
    assert repository.read_agent(key, AGENT) == first
    second = SessionAgent(AGENT, {"seat": {"row": 4, "side": None}}, {}, created_at="later", updated_at="later")
    repository.update_agent(key, second)
    found = repository.read_agent(key, AGENT)
    assert found is not None
    assert (found.state, found.conversation_manager_state) == (second.state, {})
    assert (found.created_at, found.updated_at) == (first.created_at, "later")
    assert repository.read_agent(key, "other") is None


def test_messages_come_back_in_order_as_they_were(repository: AmplifierSessionRepository, key: str) -> None:
    messages = [
        message(0, {"text": "Weather?"}, {"image": {"format": "png", "source": {"bytes": b"png"}}}),
        message(1, {"toolUse": {"toolUseId": "t", "name": "weather", "input": {"city": "Bern"}}}, role="assistant"),
        message(2, {"toolResult": {"toolUseId": "t", "content": [{"text": "rain"}], "status": "success"}}),
    ]
    for one in messages:
        repository.create_message(key, AGENT, one)
    assert repository.list_messages(key, AGENT) == messages
    assert repository.read_message(key, AGENT, 1) == messages[1]
    assert repository.read_message(key, AGENT, 3) is None


def test_agents_of_one_session_are_apart(repository: AmplifierSessionRepository, key: str) -> None:
    repository.create_message(key, "a", message(0))
    repository.create_message(key, "b", message(0))
    repository.create_message(key, "a", message(1))
    Amplifier().session(key).append([{"role": "user", "content": "of a person"}])
    assert numbers(repository.list_messages(key, "a")) == [0, 1]
    assert numbers(repository.list_messages(key, "b")) == [0]


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [(None, 0, [0, 1, 2, 3]), (2, 0, [0, 1]), (2, 1, [1, 2]), (None, 3, [3]), (5, 9, [])],
)
def test_messages_are_read_in_pages(
    repository: AmplifierSessionRepository, key: str, limit: int | None, offset: int, expected: list[int]
) -> None:
    for number in range(4):
        repository.create_message(key, AGENT, message(number))
    assert numbers(repository.list_messages(key, AGENT, limit, offset)) == expected


def test_redacted_message_is_nowhere_any_more(repository: AmplifierSessionRepository, key: str) -> None:
    word = f"secret{key.rpartition('-')[2]}"
    said = message(0, {"text": word})
    repository.create_message(key, AGENT, said)
    assert [hit.role for hit in Amplifier().search(word).items] == ["user"]
    said.redact_message = {"role": "user", "content": [{"text": "[redacted]"}]}
    repository.update_message(key, AGENT, said)
    [found] = repository.list_messages(key, AGENT)
    assert found.to_message() == said.redact_message
    assert Amplifier().search(word).items == []


def test_message_of_another_process_is_not_lost(repository: AmplifierSessionRepository, key: str) -> None:
    repository.create_message(key, AGENT, message(0, {"text": "first"}))
    with pytest.raises(SessionException, match="message 0 of agent desk"):
        repository.create_message(key, AGENT, message(0, {"text": "second"}))
    assert repository.list_messages(key, AGENT)[0].message["content"] == [{"text": "first"}]


def test_message_whose_answer_is_lost_is_added_once(repository: AmplifierSessionRepository, key: str) -> None:
    losing = AmplifierSessionRepository(Amplifier(transport=LosesAnswersSync(2, "POST")))
    losing.create_message(key, AGENT, message(0))
    assert numbers(repository.list_messages(key, AGENT)) == [0]


def test_state_of_a_graph_is_kept(service: Service, key: str, stub: model.Stub) -> None:
    graph = GraphBuilder()
    graph.add_node(Agent(OpenAIResponsesModel(model_id="gpt-5-mini"), callback_handler=None), "first")
    graph.set_graph_id("travel")
    graph.set_max_node_executions(5)
    graph.set_session_manager(RepositorySessionManager(key, AmplifierSessionRepository()))
    graph.build()("Is there a flight?")
    found = AmplifierSessionRepository().read_multi_agent(key, "travel")
    assert found is not None
    assert (found["status"], found["completed_nodes"]) == ("completed", ["first"])


def agent(key: str, **options: Any) -> Agent:
    manager = RepositorySessionManager(key, AmplifierSessionRepository())
    answering = OpenAIResponsesModel(model_id="gpt-5-mini")
    return Agent(answering, agent_id=AGENT, session_manager=manager, callback_handler=None, **options)


def test_agents_continue_where_the_last_one_ended(service: Service, key: str, stub: model.Stub) -> None:
    first = agent(key, state={"seat": "window"})
    assert str(first("Is there a flight?")).strip() == "You said: Is there a flight?"
    second = agent(key)
    assert second.state.get() == {"seat": "window"}
    second("And back?")
    assert [item["role"] for item in stub.requests[1]["input"]] == ["user", "assistant", "user"]
    assert numbers(AmplifierSessionRepository().list_messages(key, AGENT)) == [0, 1, 2, 3]
