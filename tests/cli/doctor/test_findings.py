"""Checks run in order, within their time, and findings show no secrets."""

import asyncio
import json
import time

import pytest

from amplifier.cli.doctor import capacity, findings, printing
from amplifier.cli.doctor.database import skew, supported
from amplifier.cli.doctor.findings import Check, Fault, Outcome, examine, failed, is_ok, ok, skipped, warning
from amplifier.secret import Secret
from tests.support.doctor import examined


def check(name: str, outcome: Outcome, *needs: str, unless_failed: tuple[str, ...] = ()) -> Check:
    async def run() -> Outcome:
        return outcome

    return Check(name, run, needs, unless_failed=unless_failed)


WRONG = failed("seen", "problem", "remedy")


async def test_check_is_skipped_when_one_that_it_needs_did_not_pass() -> None:
    checks = [check("a", WRONG), check("b", ok("fine"), "a"), check("c", ok("fine"), "b"), check("d", ok("fine"))]
    found = await examine(checks)
    assert [(one.status, one.seen) for one in found] == [
        ("failed", "seen"),
        ("skipped", "because a failed"),
        ("skipped", "because b was skipped"),
        ("ok", "fine"),
    ]


async def test_check_runs_when_one_that_must_not_fail_does_not_apply() -> None:
    checks = [check("a", skipped("no TLS")), check("b", WRONG), *(check("c", ok(""), unless_failed=(n,)) for n in "ab")]
    assert [one.status for one in await examine(checks)] == ["skipped", "failed", "ok", "skipped"]


@pytest.mark.parametrize(("status", "passes"), [("ok", True), ("warning", True), ("skipped", True), ("failed", False)])
async def test_only_failed_checks_fail(status: findings.Status, passes: bool) -> None:
    assert is_ok(await examine([check("a", Outcome(status, "seen"))])) == passes


async def test_check_that_does_not_end_fails_at_its_limit() -> None:
    [found] = await examine([Check("slow", asyncio.Event().wait, limit=0.01)])  # type: ignore[arg-type]
    assert found.status == "failed"
    assert "no result within" in found.seen


async def test_checks_after_the_time_of_all_fail_unless_they_run_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_LIMIT_OF_ALL", 0)
    late, always = check("late", ok("fine")), check("always", ok("fine"))._replace(always=True)
    assert [(one.status, one.seen) for one in await examine([late, always])] == [
        ("failed", "not examined"),
        ("ok", "fine"),
    ]


async def test_unknown_error_and_fault_become_findings() -> None:
    async def unknown() -> Outcome:
        raise ValueError("in two\n lines")

    async def fault() -> Outcome:
        raise Fault("seen", "problem", "remedy")

    found = await examine([Check("a", unknown), Check("b", fault)])
    assert [(one.status, one.seen) for one in found] == [("failed", "ValueError: in two lines"), ("failed", "seen")]


async def test_findings_mask_secrets() -> None:
    secret = Secret("canary-7af1")
    text = f"said {secret.reveal()}"
    [found] = await examine([check("a", failed(text, text, text))])
    assert (found.seen, found.problem, found.remedy) == ("said ***",) * 3


async def test_text_and_document_have_the_same_findings(capsys: pytest.CaptureFixture[str]) -> None:
    found = await examine([check("TLS", failed("seen", "it is wrong", "do:\nalter role a;")), check("b", ok("fine"))])
    for one in found:
        printing.print_finding(one)
    printing.print_total(found)
    text = capsys.readouterr().out
    assert "failed   TLS                  seen\n         problem: it is wrong\n         remedy: do:\n" in text
    assert "                 alter role a;\n" in text, "a command is in a line of its own"
    assert text.endswith("\n1 failed, 0 warnings, 1 ok, 0 skipped\n")
    assert "\x1b" not in text, "no colours where no terminal is"
    printing.print_json(found)
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert [set(one) for one in document["checks"]] == [
        {"name", "status", "seen", "problem", "remedy", "milliseconds"}
    ] * 2


@pytest.mark.parametrize(
    ("seconds", "status", "seen"),
    [
        (0.4, "ok", "is 0.4 s ahead of"),
        (-4, "ok", "is 4.0 s behind"),
        (-12, "warning", "is 12 s behind"),
        (3600, "failed", "is 3600 s ahead of"),
    ],
)
def test_clock_skew_is_judged(seconds: float, status: str, seen: str) -> None:
    found = skew(seconds, "the database", 0.01)
    assert found.status == status
    assert f"the database {seen} this machine" in found.seen


def test_skew_within_a_slow_round_trip_passes() -> None:
    assert skew(7, "the database", 8).status == "ok"


@pytest.mark.parametrize(("major", "status"), [(14, "failed"), (15, "ok"), (18, "ok"), (19, "warning")])
def test_versions_of_postgresql_are_judged(major: int, status: str) -> None:
    assert supported(major, f"{major}.1").status == status


@pytest.mark.parametrize(
    ("environ", "seen"),
    [
        ({"DATABASE_PORT": "many"}, "DATABASE_PORT must be a port number"),
        ({"AUTH_REQUIRED": "true"}, "SECRET_KEY must be set"),
        ({"DATABASE_URL": "mysql://canary-51c0@db/x"}, "DATABASE_URL must be of the form"),
    ],
)
async def test_wrong_setting_is_named_and_everything_else_skipped(environ: dict[str, str], seen: str) -> None:
    found = await examined(environ)
    assert found["settings"].status == "failed"
    assert seen in found["settings"].seen
    assert {one.status for name, one in found.items() if name != "settings"} == {"skipped"}
    assert "canary" not in str(found)


async def test_variable_of_kubernetes_is_recognized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PORT", "tcp://10.0.0.7:5432")
    found = await examined({"DATABASE_PORT": "tcp://10.0.0.7:5432"}, "settings")
    assert "enableServiceLinks: false" in str(found["settings"].remedy)


async def test_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASWORD", "canary-51c0")
    found = (await examined({}, "settings"))["settings"]
    assert (found.status, "DATABASE_PASWORD (is DATABASE_PASSWORD meant?)" in str(found.problem)) == ("warning", True)
    assert "canary" not in str(found)


async def test_warning_is_printed_with_its_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    [found] = await examine([check("a", warning("seen", "a risk", "lower it"))])
    printing.print_finding(found)
    assert capsys.readouterr().out.splitlines()[1:] == ["         problem: a risk", "         remedy: lower it"]


def test_time_is_measured() -> None:
    began = time.monotonic()
    [found] = asyncio.run(examine([Check("a", lambda: asyncio.sleep(0.02, ok("")))]))
    assert 20 <= found.milliseconds + 0.1 <= (time.monotonic() - began) * 1000 + 1


def test_rules_name_each_setting_once() -> None:
    names = [rule.name for rule in capacity._RULES]
    assert len(names) == len(set(names))
