"""The metrics, alerts and the dashboard that docs/telemetry.md and deploy/ name are those of the service."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from amplifier.telemetry.metrics_catalogue import Catalogue
from tests.support.markdown import blocks, run
from tests.support.metrics import parsed
from tests.support.paths import ROOT
from tests.support.service import free_port, running_service

PAGE = ROOT / "docs/telemetry.md"
DASHBOARD = json.loads((ROOT / "deploy/grafana/amplifier.json").read_text())
ALERTS = (ROOT / "deploy/prometheus/alerts.yml").read_text()
_METRIC = re.compile(r"\b(?:amplifier|process)_[a-z_]+\b")
_ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \| (.*?) \| (.*?) \|$", re.MULTILINE)
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (prometheus)")


def known() -> dict[str, Any]:
    """Returns the metrics of the catalogue by their name in the output."""
    registry = CollectorRegistry()
    Catalogue(registry)
    return {one._name + ("_total" if one._type == "counter" else ""): one for one in registry._collector_to_names}


def series() -> set[str]:
    """Returns the names of all samples."""
    histograms = {name for name, one in known().items() if one._type == "histogram"}
    return known().keys() - histograms | {
        f"{name}{end}" for name in histograms for end in ("_bucket", "_sum", "_count")
    }


def expressions() -> list[str]:
    """Returns all expressions of the dashboard."""
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def test_page_lists_all_metrics_with_their_labels() -> None:
    listed = {
        name: (type_, re.findall(r"`(\w+)`", labels)) for name, type_, labels, _ in _ROW.findall(PAGE.read_text())
    }
    assert listed == {name: (one._type, list(one._labelnames)) for name, one in known().items()}


def test_dashboard_uses_metrics_that_exist_and_all_but_few() -> None:
    used = {name for expression in expressions() for name in _METRIC.findall(expression)}
    assert used <= series()
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
    # those of embeddings have values only where the search by meaning is on
    left = {name for name in known().keys() - shown if not name.startswith("amplifier_embed")}
    assert left == {"process_virtual_memory_bytes"}


def test_dashboard_has_its_rows_and_variables() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == ["Requests", "Database", "Live", "Agents", "Process"]
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource", "job", "instance"]
    assert all('job=~"$job", instance=~"$instance"' in expression for expression in expressions())
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_alerts_use_metrics_that_exist() -> None:
    assert set(_METRIC.findall(ALERTS)) <= series()


def test_page_says_what_to_do_about_each_alert() -> None:
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    assert re.findall(r"^\| `(Amplifier\w+)` \|", PAGE.read_text(), re.MULTILINE) == alerts


@needs_promtool
@pytest.mark.parametrize("arguments", ["check rules alerts.yml", "check config prometheus.yml"])
def test_promtool_accepts_the_files(arguments: str) -> None:
    _promtool(*arguments.split())


@needs_promtool
def test_each_alert_fires_for_its_fault_and_for_no_other() -> None:
    _promtool("test", "rules", "alerts.test.yml")


@needs_promtool
def test_promtool_understands_every_expression_of_the_dashboard(tmp_path: Any) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    _promtool("check", "rules", str(file))


def _promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=ROOT / "deploy/prometheus", capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_commands_of_page_run_as_written(dsn: str, tmp_path: Any) -> None:
    [scrape], [alerts] = blocks("shell scrape", PAGE.read_text()), blocks("shell alerts", PAGE.read_text())
    port = free_port()
    with running_service({"DATABASE_URL": dsn, "METRICS_PORT": str(port)}):
        shown = run(scrape.replace("9464", str(port)), tmp_path, {})
    assert {sample.name for family in parsed(shown).families for sample in family.samples} <= series()
    assert "amplifier_workers 1.0" in shown
    if shutil.which("promtool"):
        assert "SUCCESS" in run(f"cd {ROOT}\n{alerts}", tmp_path, {})
