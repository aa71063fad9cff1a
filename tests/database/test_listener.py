"""The listening connection: changes of applications reach every process, and a process without it forgets callers."""

from collections.abc import Callable
from typing import Any

import pytest

from amplifier.database import listener
from tests.conftest import Api, assert_problem, serving, settings_for
from tests.support.polling import TERMINATE, gives, remembers, until

Sql = Callable[..., list[Any]]

STOPS = {
    "DELETE /applications/app": "Invalid API key",
    "POST /applications/app/regenerate-key": "Invalid API key",
    "update applications set is_active = false": "Application is disabled",
}


@pytest.mark.parametrize("stop", STOPS)
async def test_revoked_key_is_refused_at_once_in_every_process(api: Api, sql: Sql, stop: str) -> None:
    async with serving(api.settings) as elsewhere:
        here, admin = await api.as_user("alice"), await api.as_user("root", "admin")
        there = elsewhere.client(dict(here.headers))
        await until(lambda: remembers(here, api))
        await until(lambda: remembers(there, elsewhere))
        if stop.startswith("update"):
            sql(stop)
            await until(lambda: gives(here, 401), 8)
        else:
            assert (await admin.request(*stop.split())).status_code == 200
            assert_problem(await here.get("/configs"), 401, STOPS[stop])
        await until(lambda: gives(there, 401), 8)
        assert_problem(await there.get("/configs"), 401, STOPS[stop])


async def test_process_without_notifications_caches_no_credentials(
    dsn: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "_BACK_OFF", (60.0, 60.0))
    async with serving(settings_for(dsn)) as api:
        alice = await api.as_user("alice")
        await until(lambda: remembers(alice, api))
        sql("alter table applications disable trigger applications_announce")
        sql("update applications set is_active = false")
        assert await gives(alice, 200), "remembered: nobody said anything"
        sql(f"{TERMINATE} and application_name = 'amplifier-api listener'")
        await until(lambda: gives(alice, 401))
        for active, status in (("true", 200), ("false", 401)):
            sql(f"update applications set is_active = {active}")
            assert await gives(alice, status)
