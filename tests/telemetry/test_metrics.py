"""Metrics count what the service does, with labels of bounded number that name no caller and no session."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from amplifier.server import measurements
from amplifier.telemetry import recorder
from amplifier.telemetry.metrics import Metrics
from amplifier.telemetry.served import Served
from tests.conftest import Api, serving, settings_for
from tests.support.live import LIMIT, live
from tests.support.live import until as live_until
from tests.support.metrics import Figures, figures
from tests.support.polling import TERMINATE, until

Sql = Callable[..., list[Any]]


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    """The application with metrics, which nothing serves."""
    async with serving(settings_for(dsn, metrics_port=9464, rate_limit_requests_per_minute=600)) as api:
        yield api


def metrics() -> Metrics:
    """Returns metrics without an application."""
    return Metrics(CollectorRegistry(), time.time)


def served(method: str = "GET", route: str | None = "/sessions", status: int = 200, **scope: Any) -> Served:
    """Returns the record of a request that took a millisecond."""
    one = Served({"method": method, "path_template": route, "state": {"status": status}, **scope})
    one.seconds = 0.001
    return one


async def test_requests_are_counted_by_method_route_and_status(
    api: Api, alice: httpx.AsyncClient, session_id: str
) -> None:
    await alice.get(f"/sessions/{session_id}")
    await alice.head(f"/sessions/{session_id}")
    await alice.get("/sessions/nobody's")
    await alice.get("/nowhere")
    now = figures(api)
    labels = {"method": "GET", "route": "/sessions/{session_id}"}
    assert now("amplifier_http_requests_total", **labels, status="200") == 2
    assert now("amplifier_http_requests_total", **labels, status="404") == 1
    assert now("amplifier_http_requests_total", method="GET", route="none", status="404") == 1
    assert now("amplifier_http_request_duration_seconds_count", **labels) == 3
    assert 0 < now("amplifier_http_request_duration_seconds_sum", **labels) < 3


def test_buckets_have_the_observations_up_to_their_bound() -> None:
    counted = metrics()
    for seconds in (0.0004, 0.0005, 0.0006, 99):
        one = served()
        one.seconds = seconds
        counted.observe(one)
    counted.flush()
    now = Figures(counted.registry.collect())
    labels = {"method": "GET", "route": "/sessions"}
    counts = [
        now("amplifier_http_request_duration_seconds_bucket", **labels, le=le) for le in ("0.0005", "0.001", "10.0")
    ]
    assert counts == [2, 3, 3]
    assert now("amplifier_http_request_duration_seconds_count", **labels) == 4


@pytest.mark.parametrize("key", ["amplifier.ending", "amplifier.draining"])
def test_streams_and_answers_of_agents_are_counted_without_a_duration(key: str) -> None:
    counted = metrics()
    counted.observe(served(**{key: None}))
    counted.flush()
    now = Figures(counted.registry.collect())
    assert now("amplifier_http_requests_total", method="GET", route="/sessions", status="200") == 1
    assert now.labels("amplifier_http_request_duration_seconds_count") == []


async def test_strange_paths_and_methods_add_no_series(api: Api, alice: httpx.AsyncClient) -> None:
    for number in range(20):
        await alice.request(f"ODD{number}", f"/nowhere/{number}")
    for number in range(10_000):
        api.app.state.measurements.metrics.observe(served(f"ODD{number}", None, 404))
    now = figures(api)
    strange = {"method": "other", "route": "none", "status": "404"}
    assert now("amplifier_http_requests_total", **strange) >= 10_000
    assert len(now.labels("amplifier_http_requests_total")) <= 3


def test_models_and_tools_beyond_the_bound_are_counted_as_other() -> None:
    counted = metrics()
    for number in range(10_000):
        counted.model_called("openai", f"model-{number}", 0.1, {"input_tokens": 2})
        counted.tool_called(f"tool-{number}", 0.1)
    counted.model_called("openai", "a name with\nspaces", 0.1, {"input_tokens": 2})
    now = Figures(counted.registry.collect())
    assert len(now.labels("amplifier_model_calls_total")) == 51
    assert len(now.labels("amplifier_tool_call_duration_seconds_count")) == 51
    assert now("amplifier_model_tokens_total", provider="openai", model="other", type="input") == 2 * (10_001 - 50)


def test_model_is_named_after_it_has_answered() -> None:
    counted = metrics()
    counted.model_called("openai", "my secret", 0.1, None)
    counted.model_called("openai", "gpt-5", 0.1, {})
    counted.model_called("openai", "gpt-5", 0.1, None)
    now = Figures(counted.registry.collect())
    calls = {
        (one["model"], one["outcome"]): now("amplifier_model_calls_total", **one)
        for one in now.labels("amplifier_model_calls_total")
    }
    assert calls == {("other", "failed"): 1, ("gpt-5", "answered"): 1, ("gpt-5", "failed"): 1}


async def test_queries_keep_their_totals_across_a_reload(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    def calls() -> float:
        return figures(api)("amplifier_query_calls_total", query="sessions.get")

    await alice.get(f"/sessions/{session_id}")
    assert calls() == 1
    query = next(one for one in api.app.state.queries.all() if one.name == "sessions.get")
    await alice.get(f"/sessions/{session_id}")
    query.usage = type(query.usage)()  # as a reload with another text of the query
    query.usage.calls = 5
    assert calls() == 2 + 5
    assert figures(api)("amplifier_query_seconds_total", query="sessions.get") > 0


async def test_searches_are_counted_by_way(api: Api, alice: httpx.AsyncClient, session_id: str) -> None:
    ways = {
        "/search?q=a": "messages_by_rank",
        "/search?q=a&sort=recent": "messages_recent",
        f"/sessions/{session_id}/search?q=a": "one_session_by_rank",
        f"/sessions/{session_id}/search?q=a&sort=recent": "one_session_recent",
        "/sessions?q=a": "sessions",
        "/search/facets?q=a": "facets",
    }
    for path, way in ways.items():
        assert (await alice.get(path)).status_code == 200
        assert figures(api)("amplifier_search_duration_seconds_count", way=way) == 1, way
    api.app.state.search_timeout = 0.000001
    assert (await alice.get("/search?q=a")).status_code == 503
    assert figures(api)("amplifier_searches_stopped_total", way="messages_by_rank") == 1


async def test_refusals_of_rate_limits_are_counted(dsn: str) -> None:
    async with serving(settings_for(dsn, metrics_port=9464, rate_limit_requests_per_minute=2)) as api:
        alice = await api.as_user("alice")
        statuses = [(await alice.get("/configs")).status_code for _ in range(4)]
        assert figures(api)("amplifier_rate_limit_refusals_total") == statuses.count(429) == 2


async def test_pool_shows_connections_in_use_and_waiting(api: Api) -> None:
    database = api.app.state.queries.database
    assert figures(api)("amplifier_pool_connections_max") == 6
    async with database.connection():
        assert figures(api)("amplifier_pool_connections_in_use") >= 1
        holders = [asyncio.create_task(database.fetchval("select pg_sleep(0.2)")) for _ in range(7)]
        await asyncio.sleep(0)
        now = figures(api)
        assert now("amplifier_pool_connections_in_use") == 6
        assert now("amplifier_pool_waiting") >= 2
        await asyncio.gather(*holders)
    assert figures(api)("amplifier_pool_connections") >= 1


async def test_reconnects_of_the_listener_are_counted(api: Api, sql: Sql) -> None:
    async def connected() -> bool:
        return figures(api)("amplifier_listener_connected") == 1

    async def reconnected() -> bool:
        return figures(api)("amplifier_listener_reconnects_total") == 1 and await connected()

    await until(connected)
    assert figures(api)("amplifier_listener_reconnects_total") == 0
    sql(f"{TERMINATE} and application_name = 'amplifier-api listener'")
    await until(reconnected)


async def test_queued_runs_and_the_schema_are_read_from_the_database(
    api: Api, alice: httpx.AsyncClient, session_id: str, sql: Sql
) -> None:
    sql(
        "insert into runs (session_id, run_id, status, message, user_id, app_id, queued_at) values"
        f" ('{session_id}', 'waits', 'queued', '{{\"role\": \"user\"}}', 'alice', 'app', now() - interval '1 hour')"
    )
    await api.app.state.measurements.ask()
    now = figures(api)
    assert now("amplifier_runs_queued") == 1
    assert 3500 < now("amplifier_runs_queued_oldest_seconds") < 3700
    assert now("amplifier_schema_version") == int(api.app.state.migrations[-1][:4])
    assert now("amplifier_schema_missing_migrations") == 0
    api.app.state.migrations = [*api.app.state.migrations, "9999-of-a-later-release"]
    await api.app.state.measurements.ask()
    assert figures(api)("amplifier_schema_missing_migrations") == 1


async def test_streams_and_the_delay_of_delivery_are_measured(dsn: str) -> None:
    async with live(settings_for(dsn, metrics_port=9464)) as api:
        alice = await api.as_user("alice")
        config = {"name": "a", "config_data": {"bundle": {"name": "a"}}}
        config_id = (await alice.post("/configs", json=config)).json()["config_id"]
        session_id = (await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"]
        path = f"/sessions/{session_id}"
        hello = {"messages": [{"role": "user", "content": "Hello"}]}
        count = "amplifier_delivery_delay_seconds_count"
        async with api.stream(alice, f"{path}/events") as stream, asyncio.timeout(LIMIT):
            while not figures(api)(count):  # the first may come with what was before the stream, and is measured late
                await alice.post(f"{path}/transcript", json=hello)
                assert await stream.next("message.created")
            now = figures(api)
            assert now("amplifier_streams", kind="session") == 1
            assert now("amplifier_followers") == now("amplifier_followed_sessions") == 1
            assert now("amplifier_delivery_delay_seconds_sum") < 60
        await live_until(lambda: figures(api)("amplifier_streams", kind="session") == 0)
        before = figures(api)(count)
        async with api.stream(alice, f"{path}/events?after=0") as stream:
            assert await stream.next("message.created")
        await live_until(lambda: figures(api)("amplifier_streams", kind="session") == 0)
        assert figures(api)(count) == before, "what was committed before the stream began"


async def test_process_and_build_are_described(api: Api) -> None:
    now = figures(api)
    assert now("amplifier_workers") == 1
    assert now("process_resident_memory_bytes") > 10_000_000
    assert now("process_open_fds") > 3
    assert now("process_cpu_seconds_total") > 0
    [build] = now.labels("amplifier_build_info")
    assert build.keys() == {"version", "python"}


async def test_event_loop_lag_is_measured(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "_PACE", 0.01)
    async with serving(settings_for(dsn, metrics_port=9464)) as api:

        async def measured() -> bool:
            return figures(api)("amplifier_event_loop_lag_seconds_count") > 0

        await until(measured)


async def test_application_without_metrics_observes_nothing(dsn: str) -> None:
    async with serving(settings_for(dsn, metrics_port=9464)):
        assert isinstance(recorder.current, Metrics)
    async with serving(settings_for(dsn)) as api:
        assert type(recorder.current) is recorder.Recorder
        assert not any(isinstance(getattr(one, "__self__", None), Metrics) for one in api.app.observers)
