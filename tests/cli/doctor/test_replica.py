"""The read replica: found, and what is wrong with it."""

import pytest

from tests.conftest import private_folder
from tests.support.clusters import copied, make_template
from tests.support.doctor import examined
from tests.support.replicas import replica


async def test_replica_is_optional(dsn: str) -> None:
    found = (await examined({"DATABASE_URL": dsn}, "read replica"))["read replica"]
    assert (found.status, found.seen) == ("skipped", "because DATABASE_READ_URL is not set")


async def test_primary_is_no_replica(dsn: str) -> None:
    found = (await examined({"DATABASE_URL": dsn, "DATABASE_READ_URL": dsn}, "read replica"))["read replica"]
    assert (found.status, found.seen) == ("failed", "the server is a primary")
    assert "DATABASE_READ_URL" in str(found.remedy)


async def test_replica_that_is_away_is_named(dsn: str) -> None:
    environ = {"DATABASE_URL": dsn, "DATABASE_READ_URL": "postgresql://amplifier@127.0.0.1:1/x"}
    found = (await examined(environ, "read replica"))["read replica"]
    assert (found.status, found.seen) == ("failed", "the replica cannot be reached")


@pytest.mark.slow
async def test_standby_is_accepted(dsn: str) -> None:
    with private_folder() as folder:
        folder.chmod(0o755)
        template = make_template(folder / "template")
        with copied(template, folder / "one") as primary:
            primary.start(fsync="off")
            with replica(primary, folder / "two", fsync="off") as standby:
                environ = {"DATABASE_URL": primary.service_dsn, "DATABASE_READ_URL": standby.service_dsn}
                found = (await examined(environ, "read replica"))["read replica"]
                assert (found.status, "hot_standby_feedback" in str(found.remedy)) == ("warning", True), found
                standby.run("alter system set hot_standby_feedback = on")
                standby.run("select pg_reload_conf()")
                found = (await examined(environ, "read replica"))["read replica"]
                assert found.status == "ok", found
                foreign = (await examined(environ | {"DATABASE_URL": dsn}, "read replica"))["read replica"]
                assert "another cluster" in str(foreign), foreign
