"""Errors of shards get the name of the constraint that the table has, on a stand-in for Citus."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from amplifier.database.pool import Database
from amplifier.web.problems import describe
from tests.conftest import settings_for
from tests.support import citus

CHECK = 'new row for relation "sessions_102040" violates check constraint "{}"'


async def raised(dsn: str, message: str) -> asyncpg.PostgresError:
    """Returns the error of a statement that fails as one does on a shard: without the constraint in a field."""
    database = Database(settings_for(dsn), dsn)
    await database.connect()
    try:
        with pytest.raises(asyncpg.PostgresError) as caught:
            await database.execute(f"do $$ begin raise exception $m${message}$m$ using errcode = 'XX000'; end $$")
        return caught.value
    finally:
        await database.close()


@pytest.mark.parametrize(
    "name", ["sessions_status_check", "sessions_status_check_102008", "sessions_status_check_1020081"]
)
async def test_error_of_shard_has_name_of_constraint(dsn: str, sql: Callable[..., list[Any]], name: str) -> None:
    with citus.pretended(sql):
        error = await raised(dsn, CHECK.format(name))
    assert error.constraint_name == "sessions_status_check"
    assert describe(error).status == 422


async def test_name_with_a_number_of_its_own_is_kept(dsn: str, sql: Callable[..., list[Any]]) -> None:
    with citus.pretended(sql):
        assert (
            await raised(dsn, CHECK.format("sessions_tags_check1_102040"))
        ).constraint_name == "sessions_tags_check1"
        assert (await raised(dsn, "another failure")).constraint_name is None


async def test_message_names_no_constraint_on_one_server(dsn: str) -> None:
    error = await raised(dsn, CHECK.format("sessions_status_check_102008"))
    assert error.constraint_name is None
    assert describe(error).status == 500
