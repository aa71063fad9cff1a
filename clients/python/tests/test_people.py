"""Credentials, and sessions of several people."""

import pytest
from amplifier_client import AsyncAmplifier, errors
from serving import Service, token


async def test_session_is_shared_and_taken_back(secured: Service, key: str) -> None:
    api_key = secured.application("sharing")
    mia, noor = (AsyncAmplifier(secured.url, api_key=api_key, token=token(user)) for user in ("mia", "noor"))
    session = mia.session(key, title="Geneva")
    theirs = noor.session(id=await session.id())
    with pytest.raises(errors.NotFound):
        await theirs.get()
    assert (await session.share("noor")).role == "viewer"
    assert (await theirs.get()).title == "Geneva"
    with pytest.raises(errors.Forbidden):
        await theirs.append([{"role": "user", "content": "Hello"}])
    assert (await session.share("noor", "editor", {"invite": True})).permissions.invite is True
    await session.unshare("noor")
    with pytest.raises(errors.NotFound):
        await theirs.get()
    await mia.aclose()
    await noor.aclose()


async def test_credentials_come_from_the_environment(
    secured: Service, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("AMPLIFIER_URL", f"{secured.url}/")
    async with AsyncAmplifier() as client:
        with pytest.raises(errors.Unauthorized):
            await client.session(key).get()
    monkeypatch.setenv("AMPLIFIER_API_KEY", secured.application("environment"))
    monkeypatch.setenv("AMPLIFIER_TOKEN", token("mia"))
    async with AsyncAmplifier() as client:
        assert (await client.session(key).get()).owner_user_id == "mia"


async def test_token_is_asked_for_with_each_request(secured: Service, key: str) -> None:
    users = iter(["mia", "noor"])
    client = AsyncAmplifier(secured.url, api_key=secured.application("tokens-2"), token=lambda: token(next(users)))
    assert [(await client.request("GET", "/users/me", dict))["user_id"] for _ in range(2)] == ["mia", "noor"]
    await client.aclose()


async def test_application_acts_for_its_users(secured: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    async def user_of(client: AsyncAmplifier) -> str:
        return str((await client.request("GET", "/users/me", dict))["user_id"])

    monkeypatch.setenv("AMPLIFIER_USER_ID", "mia")
    monkeypatch.setenv("AMPLIFIER_API_KEY", secured.application("acting", "--act-as"))
    async with AsyncAmplifier(secured.url) as client:
        assert await user_of(client) == "mia"
        assert await user_of(client.as_user("nöor 1")) == "nöor 1"
        assert await user_of(AsyncAmplifier(secured.url, token=token("omar"))) == "omar"
    monkeypatch.setenv("AMPLIFIER_API_KEY", secured.application("not-acting"))
    async with AsyncAmplifier(secured.url) as client:
        with pytest.raises(errors.Unauthorized):
            await user_of(client)
