"""Plans and results on the profile: forbidden plans, and differences from the baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from amplifier.database.pool import Database
from amplifier.postgres import embedded, scratch
from amplifier.queries.plans import baseline
from amplifier.queries.plans.observation import Observation, Plan
from amplifier.queries.registry import Queries
from amplifier.schema import migrate
from tests.conftest import private_folder, settings_for
from tests.queries.test_checks import edit

DEBIAN = Path("/usr/lib/postgresql/15")
SCAN = Plan(10, ["Index Scan on sessions_pkey, sessions by session_id"])
RESULTS = {"usual": "1 rows, 0 written, 00000000", "usual, limit 2": "0 rows, 0 written, 11111111"}


def loaded(folder: Path, dsn: str = "postgresql://unused/unused") -> Queries:
    return Queries(Database(settings_for(dsn), dsn), folder)


def seen(generic: Plan = SCAN, custom: Plan = SCAN, results: dict[str, str] = RESULTS) -> Observation:
    return Observation(generic, custom, results)


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (Plan(10, ["Join", "  Index Scan on sessions_pkey", "  Index Scan on session_participants_pkey"]), ""),
        (Plan(10, ["Index Scan on session_participants_user_id_idx, sessions_pkey"]), ""),
        (Plan(10, ["Seq Scan on sessions"]), "plan reads all of sessions"),
        (Plan(10, ["Sort", "  Parallel Seq Scan on messages"]), "plan reads all of messages"),
        (Plan(10, ["Index Scan on sessions_pkey, sessions"]), "plan does not use session_participants_pkey or"),
        (Plan(41, ["Index Scan on sessions_pkey, session_participants_pkey"]), "plan costs 41, its @cost is 40"),
    ],
)
def test_forbidden_plans_are_refused(folder: Path, plan: Plan, problem: str) -> None:
    query = loaded(folder).sessions.get
    good = Plan(10, ["Index Scan on sessions_pkey, session_participants_pkey"])
    for kind, observed in (("generic", seen(plan, good)), ("custom", seen(good, plan))):
        found = [one.problem for one in baseline.rules(query, observed)]
        assert any(problem in one and kind in one for one in found) if problem else found == [], found


def test_small_tables_may_be_read_whole(folder: Path) -> None:
    observed = seen(Plan(1, ["Seq Scan on applications"]), Plan(1, ["Seq Scan on applications"]))
    assert list(baseline.rules(loaded(folder).applications.list, observed)) == []


@pytest.mark.parametrize(
    ("now", "same_version", "told"),
    [
        (seen(), True, []),
        (seen(Plan(12, SCAN.nodes)), True, []),
        (seen(Plan(20, SCAN.nodes)), True, ["the generic plan costs 20 instead of 10"]),
        (seen(custom=Plan(2, SCAN.nodes)), True, ["the custom plan costs 2 instead of 10"]),
        (seen(custom=Plan(10, ["Seq Scan on sessions"])), True, ["the custom plan is another"]),
        (seen(Plan(500, ["Seq Scan on sessions"])), False, []),
        (seen(results=RESULTS | {"usual": "x"}), True, ["it gives or changes something else (usual)"]),
        (seen(results=RESULTS | {"usual": "x"}), False, []),
        (seen(results={"usual": RESULTS["usual"]}), True, ["it gives or changes something else (fewer cases)"]),
    ],
)
def test_changes_list_differences_from_baseline(now: Observation, same_version: bool, told: list[str]) -> None:
    assert list(baseline.changes(seen(), now, same_version)) == told


def test_query_without_review_is_new() -> None:
    assert list(baseline.changes(None, seen(), True)) == ["new"]


def test_baseline_survives_writing_and_reading(tmp_path: Path) -> None:
    written = baseline.Baseline(18, {"sessions.get": seen()})
    baseline.write(tmp_path / "plans.json", written)
    assert baseline.read(tmp_path / "plans.json") == written
    assert baseline.read(tmp_path / "nothing.json") is None


@pytest.mark.slow
def test_compare_covers_every_query_and_finds_change(folder: Path, server: str) -> None:
    def compare(change: Callable[[], Any]) -> Any:
        change()
        with scratch.database(server) as dsn:
            migrate.migrate(dsn)
            return baseline.compare(dsn, loaded(folder, dsn), update=False)

    lines, findings = compare(lambda: edit(folder, "streams.open", "and t.seen_at > now() - interval '15 seconds'", ""))
    assert [line.query for line in lines] == [query.name for query in loaded(folder).all()]
    assert {one.query for one in findings} == {"streams.open"}
    assert "it gives or changes something else" in " ".join(one.problem for one in findings)
    lines, findings = compare((folder / "plans.json").unlink)
    assert {line.query for line in lines if line.changes == ["new"]} == {one.query for one in findings}
    assert len(findings) == len(lines), "without a baseline nothing was reviewed"
    assert not (folder / "plans.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (DEBIAN / "bin/postgres").exists(), reason="needs an older PostgreSQL")
def test_rules_hold_on_older_postgresql(folder: Path) -> None:
    with (
        private_folder() as home,
        embedded.running(home, "amplifier-api", DEBIAN) as older,
        scratch.database(older) as dsn,
    ):
        migrate.migrate(dsn)
        lines, findings = baseline.compare(dsn, loaded(folder, dsn), update=False)
    assert findings == []
    assert len(lines) == len(loaded(folder).all())
