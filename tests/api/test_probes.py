"""The probes of orchestrators: /health/live asks nothing, /health/ready says what is missing."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier import fair_share
from amplifier.database import listener
from amplifier.database.connections import LISTENER
from amplifier.server.app import create_app
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.live import until
from tests.support.polling import TERMINATE

READY = {"database": True, "schema": True, "queries": True, "listener": True, "accepting": True}


async def ready(api: Api) -> httpx.Response:
    """Waits until the process listens, and returns the answer of a probe."""
    await until(lambda: api.app.state.listener.is_connected)
    return await api.client().get("/health/ready")


async def not_ready(api: Api, name: str, checks: dict[str, Any]) -> None:
    """Asserts that a probe gets 503 with these checks besides those that hold, and a text about `name`."""
    problem = assert_problem(await api.client().get("/health/ready"), 503)
    assert problem["checks"] == READY | checks
    assert {"accepting": "stop", "database": "answer", "schema": "migrate", "listener": "Notif"}[name] in problem[
        "detail"
    ]


async def test_ready_process_answers_all_checks(api: Api) -> None:
    response = await ready(api)
    assert (response.status_code, response.json()) == (200, {"status": "ready", "checks": READY})


async def test_alive_process_answers_without_a_database() -> None:
    """Its settings name a database that is not there, and its background tasks do not run."""
    settings = settings_for("postgresql://nobody@127.0.0.1:1/none")
    api = Api(create_app(settings, settings.database_url or ""), settings)
    live = await api.client().get("/health/live")
    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    await not_ready(api, "database", {"database": False, "schema": None, "queries": False, "listener": False})


async def test_schema_that_is_behind_is_not_ready(api: Api) -> None:
    await ready(api)
    api.app.state.migrations = [*api.app.state.migrations, "9999-of-the-next-release"]
    await not_ready(api, "schema", {"schema": False})


async def test_lost_listening_connection_is_not_ready(
    dsn: str, sql: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_BACK_OFF", (60.0, 60.0))
    async with serving(settings_for(dsn)) as api:
        await ready(api)
        sql(f"{TERMINATE} and application_name = '{LISTENER}'")
        await until(lambda: not api.app.state.listener.is_connected)
        await not_ready(api, "listener", {"listener": False})


async def test_process_that_stops_is_not_ready_and_still_serves(api: Api, alice: httpx.AsyncClient) -> None:
    await ready(api)
    api.app.state.draining = True
    await not_ready(api, "accepting", {"accepting": False})
    assert (await alice.get("/sessions")).status_code == 200
    assert (await api.client().get("/health/live")).status_code == 200


async def test_busy_pool_is_ready_while_process_listens(dsn: str) -> None:
    settings = settings_for(dsn, database_pool_max_size=1, database_acquire_timeout=0.05)
    async with serving(settings) as api:
        await ready(api)
        async with api.app.state.queries.database.connection():
            assert (await ready(api)).json()["checks"] == READY
            api.app.state.listener.is_connected = False
            await not_ready(api, "database", {"database": False, "listener": False})


@pytest.mark.parametrize("path", ["/health", "/health/ready"])
async def test_probes_count_for_their_address(api: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers who send them without end get the share of one user, and not all connections."""
    await ready(api)
    database, counted = api.app.state.queries.database, []
    fetchval = database.fetchval

    async def counting(*given: Any) -> Any:
        counted.append(fair_share.current.get())
        return await fetchval(*given)

    monkeypatch.setattr(database, "fetchval", counting)
    assert (await api.client().get(path)).status_code == 200
    assert counted == [("address", "127.0.0.1")]


async def test_flood_of_probes_leaves_the_process_ready(dsn: str) -> None:
    """An address that has its whole share waits in vain, which says nothing of the database."""
    async with serving(settings_for(dsn, database_pool_max_size=3, database_acquire_timeout=0.05)) as api:
        await ready(api)
        with fair_share.work_of(("address", "127.0.0.1")):
            async with api.app.state.queries.database.connection():
                assert (await ready(api)).json()["checks"] == READY
