"""The commands of `queries/README.md` run as written, in a copy of the checkout and with a running service."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from amplifier.postgres import embedded
from amplifier.queries import control
from amplifier.schema import migrate
from tests.conftest import private_folder
from tests.support.markdown import blocks, copied
from tests.support.paths import ROOT
from tests.support.service import Service, free_port, running_service

pytestmark = pytest.mark.slow

README = (ROOT / "queries/README.md").read_text()
REPORT = r"[\w.-]+:\d+: serves [0-9a-f]{12}"
DEBIAN = Path("/usr/lib/postgresql/15")


class Reader:
    """A reader with a shell in a checkout, who runs the commands of the page."""

    def __init__(self, folder: Path, dsn: str) -> None:
        self.checkout, self.edited = folder / "checkout", folder / "my-queries"
        self.dsn = dsn
        self._exported = ""
        copied(self.checkout)
        subprocess.run(["git", "init", "--quiet"], cwd=self.checkout, check=True)
        subprocess.run(["git", "add", "queries"], cwd=self.checkout, check=True)

    def run(self, kind: str, status: int = 0) -> str:
        """Returns the output of a block, whose last command must exit with `status`."""
        [script] = blocks(f"sh {kind}", README)
        script = script.replace("/tmp/my-queries", str(self.edited))
        path = f"{Path(sys.executable).parent}:{embedded.wheel_install()}/bin:{os.environ['PATH']}"
        environ = {**os.environ, "DATABASE_URL": self.dsn, "PYTHONPATH": str(self.checkout), "PATH": path}
        environ.pop("QUERIES_DIR", None)
        done = subprocess.run(
            ["bash", "-c", f"{self._exported}set -uo pipefail\n{script}"],
            cwd=self.checkout,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stdout + done.stderr
        self._exported += "".join(re.findall(r"^(?:export|unset) .*\n", script, re.MULTILINE))
        return done.stdout


@pytest.fixture
def reader(tmp_path: Path, dsn: str) -> Reader:
    return Reader(tmp_path, dsn)


@pytest.fixture
def service(reader: Reader) -> Iterator[Service]:
    """A service that uses the copy of the checkout."""
    reader.run("edit")
    with running_service({"DATABASE_URL": reader.dsn, "QUERIES_DIR": str(reader.edited)}) as service:
        yield service


def example(beginning: str) -> str:
    """Returns the block of the page that shows output with this beginning."""
    [shown] = re.findall(rf"^```\n({re.escape(beginning)}.*?)^```", README, re.MULTILINE | re.DOTALL)
    return str(shown)


def in_use(service: Service) -> dict[str, Any]:
    """Returns the queries in use, by name."""
    shown = httpx.get(f"{service.url}/health/queries", verify=False).json()
    return {query["name"]: query["hash"] for query in shown["queries"]} | {"all": shown["hash"]}


def test_edited_query_is_used_by_running_service(reader: Reader, service: Service) -> None:
    assert re.search(r"^`\d+ queries hold`", README, re.MULTILINE)
    [count] = re.findall(r"^(\d+) queries hold$", reader.run("edit"), re.MULTILINE)
    assert f"`{count} queries hold`" in README
    shutil.rmtree(reader.edited)
    reader.run("edit")
    refused = reader.run("mistake", 1)
    assert refused.replace(str(reader.edited), "/tmp/my-queries") == example("/tmp/my-queries/")
    reloaded = reader.run("reload")
    assert f": serves {in_use(service)['all']}\n" in reloaded
    assert re.fullmatch(rf"(?:{REPORT}\n)+", example("node-1:"))
    assert re.fullmatch(rf"{REPORT}\n", reloaded)
    reader.run("notify")
    before = in_use(service)
    assert ": serves " in reader.run("filter")
    after = in_use(service)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"sessions.list", "all"}
    ranked = reader.run("ranking")
    assert ": serves " in ranked
    assert {name for name, value in in_use(service).items() if value != after[name]} == {
        "search.list_messages",
        "search.list_sessions",
        "all",
    }
    shutil.rmtree(reader.edited / "citus")  # else the edited searches would differ from those for Citus
    told = reader.run("plans", 1)
    assert re.search(r"sessions\.sql:\d+: sessions\.list: the (generic|custom) plan|it gives or changes", told)
    assert "search.list_messages: it gives or changes something else" in told
    assert "queries hold" in reader.run("update")


def test_column_is_added_to_list(reader: Reader) -> None:
    reader.run("edit")
    refused = reader.run("column", 1)
    assert "streams.list: the result has streams, compared with Present (bring back user_id, since)" in refused
    assert "queries hold" in reader.run("struct")
    assert '"streams"' in (reader.checkout / "amplifier/queries/registry.pyi").read_text()
    port = free_port()
    environ = {"DATABASE_URL": reader.dsn, "SERVICE_PORT": str(port), "PYTHONPATH": str(reader.checkout)}
    with running_service(environ) as service:
        assert httpx.get(f"{service.url}/health", verify=False).json()["status"] == "healthy"


@pytest.mark.skipif(not (DEBIAN / "bin/postgres").exists(), reason="needs a PostgreSQL with pg_stat_statements")
def test_commands_that_measure_queries_run(tmp_path: Path) -> None:
    with private_folder() as home:
        with embedded.running(home, "amplifier-api", DEBIAN) as dsn, psycopg.connect(dsn, autocommit=True) as owner:
            migrate.migrate(dsn)
            reader = Reader(tmp_path, dsn)
            assert reader.run("top", 1) == ""
            owner.execute("create extension pg_stat_statements")
            assert reader.run("top", 1) == "", "it has to be loaded at the start, too"
            owner.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
        with embedded.running(home, "amplifier-api", DEBIAN) as dsn, running_service({"DATABASE_URL": dsn}) as service:
            for _ in range(50):
                httpx.get(f"{service.url}/health", verify=False)
            title, *lines = Reader(tmp_path / "again", dsn).run("top").splitlines()
            calls = {name: count for name, count, *_ in control.top(dsn, 100)}
    assert title.split() == ["calls", "total", "s", "mean", "ms", "rows", "query"]
    assert 0 < len(lines) <= 5
    assert all(re.search(r"  (\w+)\.\w+ \(\S*/\1\.sql:\d+\)$", line) for line in lines), lines
    assert calls["service.ping"] >= 50
