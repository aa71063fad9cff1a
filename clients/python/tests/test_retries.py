"""Lost answers, busy services and broken streams: what was asked for happens once."""

import pytest
from amplifier_client import AsyncAmplifier, NoConnection, errors
from faults import CutsStreams, LosesAnswers, Refuses
from serving import Service

HELLO = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize("lost", [1, 3])
async def test_append_whose_answer_is_lost_is_done_once(service: Service, key: str, lost: int) -> None:
    transport = LosesAnswers(lost, "POST")
    async with AsyncAmplifier(transport=transport) as client:
        appended = await client.session(key).append([HELLO])
        assert (appended.first_seq, appended.messages_total) == (1, 1)
        assert len(await client.session(key).messages()) == 1
    assert len({request.headers["idempotency-key"] for request in transport.requests}) == 1
    assert len(transport.requests) == lost + 1


async def test_creation_of_a_session_is_repeated(service: Service, key: str) -> None:
    async with AsyncAmplifier(transport=LosesAnswers(2, "PUT")) as client:
        assert await client.session(key).id() == await client.session(key).id()


async def test_retries_end(service: Service, key: str) -> None:
    transport = LosesAnswers(9, "POST")
    async with AsyncAmplifier(transport=transport, retries=2) as client:
        with pytest.raises(NoConnection, match="the answer is lost"):
            await client.session(key).append([HELLO])
    assert len(transport.requests) == 3


@pytest.mark.parametrize("status", [409, 429, 503])
async def test_busy_service_is_asked_again_after_the_time_it_names(service: Service, key: str, status: int) -> None:
    async with AsyncAmplifier(transport=Refuses(2, status, {"Retry-After": "0"})) as client:
        assert (await client.session(key).append([HELLO])).last_seq == 1


@pytest.mark.parametrize(("status", "headers"), [(409, {}), (404, {}), (429, {"Retry-After": "3600"})])
async def test_refusal_that_waiting_does_not_change_is_raised_at_once(
    service: Service, key: str, status: int, headers: dict[str, str]
) -> None:
    transport = Refuses(9, status, headers)
    async with AsyncAmplifier(transport=transport) as client:
        with pytest.raises(errors.Problem) as caught:
            await client.request("GET", "/sessions", dict)
    assert (caught.value.status, caught.value.detail, transport.left) == (status, "come back later", 8)


async def test_followers_get_each_event_once_though_the_stream_breaks(service: Service, key: str) -> None:
    transport = CutsStreams(3, blank_lines=3)
    async with AsyncAmplifier(transport=transport) as client:
        session = client.session(key)
        await session.append([HELLO] * 12)
        numbers = []
        async for event in session.follow(after=0):
            if event.type == "message.created":
                numbers.append(event.seq)
            if event.seq == 12:
                await session.delete()
        assert event.type == "session.deleted"
    assert numbers == list(range(1, 13))
    assert transport.opened > 3


async def test_follower_begins_with_the_next_event(service: Service, key: str) -> None:
    async with AsyncAmplifier() as client:
        session = client.session(key)
        await session.append([HELLO])
        async for event in session.follow():
            if event.type == "presence.changed":
                await session.append([{"role": "user", "content": "Now"}])
            if event.type == "message.created":
                break
        assert (event.seq, event.data["message"]["content"]) == (2, "Now")


async def test_follower_of_a_session_that_is_not_there_is_refused(service: Service) -> None:
    async with AsyncAmplifier() as client:
        with pytest.raises(errors.NotFound):
            async for _ in client.session(id="no-such-session").follow(after=0):
                pass
