"""The commands of docs/operations.md that need databases of their own run as written."""

from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import CONFIG
from tests.support.markdown import blocks, copied, run
from tests.support.paths import ROOT
from tests.support.service import command, running_service

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs/operations.md").read_text()
MESSAGE = {"role": "user", "content": "Is there a flight to Geneva?"}


def test_dump_is_restored_and_serves(tmp_path: Path, dsn: str, empty_dsn: str) -> None:
    [backup], [restore] = blocks("shell backup", TEXT), blocks("shell restore", TEXT)
    with running_service({"DATABASE_URL": dsn}) as service, httpx.Client(base_url=service.url, verify=False) as client:
        config_id = client.post("/configs", json=CONFIG).json()["config_id"]
        session_id = client.post("/sessions", json={"config_id": config_id, "title": "Geneva"}).json()["session_id"]
        client.post(f"/sessions/{session_id}/transcript", json={"messages": [MESSAGE]}).raise_for_status()
        run(backup, copied(tmp_path), {"DATABASE_URL": dsn, "PYTHONPATH": str(tmp_path)})
    told = run(restore, tmp_path, {"DATABASE_URL": empty_dsn, "PYTHONPATH": str(tmp_path)})
    assert told.endswith("the schema is up to date\n")
    assert command({"DATABASE_URL": empty_dsn}, "queries", "check", limit=60).returncode == 0
    with running_service({"DATABASE_URL": empty_dsn}) as service:
        found = httpx.get(f"{service.url}/search?q=geneva", verify=False).json()["items"]
    assert {(hit["session_id"], hit["seq"]) for hit in found} >= {(session_id, 1)}
    with psycopg.connect(empty_dsn) as restored:
        [comments] = restored.execute("select count(*) from pg_description where objsubid > 0").fetchone() or (0,)
    assert comments > 200
