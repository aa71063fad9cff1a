"""Messages to the agent of a session."""

import pytest
from amplifier_client import AsyncAmplifier, AsyncSession, errors
from faults import CutsStreams
from serving import Service

ECHO = {"bundle": {"name": "echo"}, "providers": [{"module": "provider-echo"}]}


async def talking(client: AsyncAmplifier, key: str) -> AsyncSession:
    """Returns a session whose agent repeats what it hears."""
    config = await client.create_config("Echo", ECHO)
    return client.session(key, config_id=config.config_id)


async def test_agent_answers(service: Service, key: str) -> None:
    async with AsyncAmplifier() as client:
        session = await talking(client, key)
        assert (await session.send("Hello")).response == "You said: Hello"
        assert [entry.message["role"] for entry in await session.messages()] == ["user", "assistant"]


@pytest.mark.parametrize("cuts", [0, 2])
async def test_answer_is_streamed_also_through_connections_that_break(service: Service, key: str, cuts: int) -> None:
    transport = CutsStreams(cuts, blank_lines=2)
    async with AsyncAmplifier(transport=transport) as client:
        session = await talking(client, key)
        events = [event async for event in session.stream("one two three")]
        assert (events[-1].type, events[-1].data["content"]) == ("response", "You said: one two three")
        assert len(await session.messages()) == 2
    assert transport.opened == cuts + 1


async def test_session_without_config_has_no_agent(service: Service, key: str) -> None:
    async with AsyncAmplifier() as client:
        with pytest.raises(errors.Conflict, match="config"):
            await client.session(key).send("Hello")
