"""`amplifier-api queries reload --plans` warns of plans that cost more; with `--refuse` nothing is reloaded then."""

import re
from pathlib import Path

import httpx
import pytest

from amplifier import paths
from amplifier.database.pool import Database
from amplifier.postgres import embedded, scratch
from amplifier.queries.plans import growth
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from tests.conftest import private_folder, settings_for
from tests.queries.test_checks import edit
from tests.support.service import command, running_service, wait_until

DEBIAN = Path("/usr/lib/postgresql/15")
COSTLY = ("users.get", "user_id = :actor_id;", "user_id = :actor_id and (select count(*) from messages) > -1;")


def loaded(folder: Path, dsn: str = "postgresql://unused/unused") -> Queries:
    return Queries(Database(settings_for(dsn), dsn), folder)


@pytest.mark.parametrize(("before", "now", "grew"), [(10, 12, False), (10, 14, True), (10, 2, False), (0, 0.2, False)])
def test_cost_above_tolerance_is_a_finding(folder: Path, before: float, now: float, grew: bool) -> None:
    [query] = [query for query in loaded(folder).all() if query.name == "users.get"]
    comparison = growth.Comparison("the reviewed ones")
    comparison.add(query, before, now)
    assert comparison.count == 1
    problems = [(one.query, one.problem) for one in comparison.findings]
    assert problems == ([("users.get", "the generic plan costs 14 instead of 10")] if grew else [])


@pytest.mark.slow
def test_growth_is_found_against_plans_and_against_the_release(folder: Path, server: str) -> None:
    edit(folder, *COSTLY)
    edit(folder, "users.touch", "last_seen = excluded.last_seen,", "last_seen = nou(),")
    with scratch.database(server) as dsn:
        migrate.migrate(dsn)
        (folder / "plans.json").unlink()
        found = growth.compare(dsn, loaded(folder, dsn), loaded(paths.folder("queries"), dsn))
    assert found.basis == "the queries of the release"
    assert [one.query for one in found.findings] == ["users.get"]
    assert re.fullmatch(r"the generic plan costs \d{3,} instead of 8", found.findings[0].problem)
    assert found.count == len(loaded(folder).all()) - 1, "the check names the query that PostgreSQL refuses"


@pytest.mark.slow
@pytest.mark.skipif(not (DEBIAN / "bin/postgres").exists(), reason="needs an older PostgreSQL")
def test_plans_of_another_version_are_not_compared(folder: Path) -> None:
    with private_folder() as home, embedded.running(home, "amplifier-api", DEBIAN) as older:
        migrate.migrate(older)
        found = growth.compare(older, loaded(folder, older), loaded(paths.folder("queries"), older))
    assert (found.basis, found.findings) == ("the queries of the release", [])


@pytest.mark.slow
def test_reload_warns_of_costly_plan_and_refuses_if_asked(dsn: str, folder: Path) -> None:
    environ = {"DATABASE_URL": dsn, "QUERIES_DIR": str(folder)}
    with running_service(environ) as service:
        wait_until(lambda: command(environ, "queries", "reload").returncode == 0)  # it reads the files when it listens
        before = httpx.get(f"{service.url}/health/queries", verify=False).json()["hash"]
        edit(folder, *COSTLY)
        refused = command(environ, "queries", "reload", "--refuse", limit=120)
        assert refused.returncode == 1
        assert refused.stderr.endswith("amplifier-api: nothing was reloaded: without --refuse the queries would be\n")
        assert httpx.get(f"{service.url}/health/queries", verify=False).json()["hash"] == before
        warned = command(environ, "queries", "reload", "--plans", limit=120)
        after = httpx.get(f"{service.url}/health/queries", verify=False).json()["hash"]
        other = command(environ, "queries", "reload", "--plans", "--queries", str(paths.folder("queries")), limit=120)
        assert "reads other files than those whose plans were compared" in other.stderr
    assert warned.returncode == 0, warned.stdout + warned.stderr
    line = rf"warning: {folder}/users.sql:\d+: users.get: the generic plan costs \d+ instead of 8 \(explain both .*\)\n"
    assert re.fullmatch(line, warned.stderr)
    assert re.match(
        rf"1 of \d+ plans cost more than those of {folder}/plans.json\n\S+: serves {after}\n$", warned.stdout
    )
    assert after != before
