"""The HTTP clients of providers are shared by equal configs, bounded in number, and cheap to take."""

import asyncio

import pytest
from amplifier_core.testing import MockCoordinator

from amplifier.runtime.modules.providers import base, clients
from tests.runtime.providers import APIS, KEY, MODULES, mounted
from tests.support import llm


@pytest.mark.parametrize("api", APIS)
async def test_equal_configs_share_client(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub) as one, mounted(api, stub, temperature=1, max_retries=5, model="other") as other:
        assert one.provider._client is other.provider._client
        await asyncio.gather(one.ask("a"), other.ask("b"))
    assert stub.connections <= 2  # one if the first answer ends before the second request begins


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "change", [{"api_key": "other"}, {"default_headers": {"a": "b"}}, {"api_version": "1"}, {"base_url": "http://x"}]
)
async def test_different_configs_have_different_clients(stub: llm.Stub, api: str, change: dict[str, object]) -> None:
    async with mounted(api, stub) as one, mounted(api, stub, **change) as other:
        assert one.provider._client is not other.provider._client


@pytest.mark.parametrize("api", APIS)
async def test_mounting_known_config_makes_no_client(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config, made = {"api_key": KEY, "model": "m"}, []
    connect = clients.connect
    monkeypatch.setattr(clients, "connect", lambda *given: made.append(given) or connect(*given))
    for _ in range(3):
        await MODULES[api].mount(MockCoordinator(), config)
    assert len(made) <= 1  # another test may have mounted the same config


def test_all_clients_share_tls_context() -> None:
    assert clients.tls() is clients.tls()


def test_clients_have_timeouts() -> None:
    assert clients.TIMEOUT.as_dict() == {"connect": 10, "read": 120, "write": 30, "pool": 10}


class Client:
    """A client that can be closed."""

    def __init__(self) -> None:
        self.closed = False

    async def close(self) -> None:
        """Closes the client."""
        self.closed = True


async def test_least_recently_used_clients_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MOST_UNUSED", 2)
    pool = clients.Pool[Client]()
    made = [pool.take(number, Client) for number in range(5)]
    assert pool.take(0, Client) is made[0]
    for number in (0, 1, 2):
        await pool.give_back(number)
    assert not any(client.closed for client in made)  # 0 is used once more
    await pool.give_back(0)
    assert [client.closed for client in made] == [False, True, False, False, False]
    await pool.give_back(4)
    await pool.give_back(3)
    assert [client.closed for client in made] == [True, True, True, False, False]
    assert pool.take(4, Client) is made[4]
    assert pool.take(1, Client) is not made[1]


async def test_failing_mount_keeps_no_client() -> None:
    class Full(MockCoordinator):
        async def mount(self, mount_point: str, module: object, name: str | None = None) -> None:
            raise RuntimeError("full")

    config = {"api_key": f"{KEY}-unmounted", "model": "m"}
    for api in APIS:
        with pytest.raises(RuntimeError):
            await MODULES[api].mount(Full(), config)
        users = [entry.users for key, entry in base._pool._entries().items() if key[1][0] == config["api_key"]]
        assert set(users) == {0}


async def test_cleaning_up_twice_gives_back_once() -> None:
    config = {"api_key": f"{KEY}-twice", "model": "m"}
    first, second = [await MODULES["openai"].mount(MockCoordinator(), config) for _ in range(2)]
    await first()
    await first()
    users = [entry.users for key, entry in base._pool._entries().items() if key[1][0] == config["api_key"]]
    assert users == [1]
    await second()
