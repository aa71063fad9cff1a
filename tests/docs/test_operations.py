"""The commands of docs/operations.md and docs/backup.md that need databases of their own run as written."""

import re
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.conftest import CONFIG, token
from tests.support.markdown import blocks, copied, run
from tests.support.paths import ROOT
from tests.support.service import command, running_service

pytestmark = pytest.mark.slow

TEXT = (ROOT / "docs/operations.md").read_text()
MESSAGE = {"role": "user", "content": "Is there a flight to Geneva?"}


def test_secrets_are_moved_to_the_newest_key(tmp_path: Path, dsn: str) -> None:
    [reencrypt] = blocks("shell reencrypt", TEXT)
    secret = CONFIG | {"config_data": {"bundle": {"name": "x"}, "token": "sk-1"}}
    with running_service({"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": "old"}) as service:
        config_id = httpx.post(f"{service.url}/configs", json=secret, verify=False).json()["config_id"]
    environ = {"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": "new,old", "PYTHONPATH": str(tmp_path)}
    shown = run(reencrypt, copied(tmp_path), environ)
    former = [line.split()[1] for line in shown.splitlines() if line.endswith("CONFIG_ENCRYPTION_KEY, a former one")]
    assert former == ["1", "0", "0"]
    with running_service({"DATABASE_URL": dsn, "CONFIG_ENCRYPTION_KEY": "new"}) as service:
        found = httpx.get(f"{service.url}/configs/{config_id}?decrypt=true", verify=False).json()
    assert (found["config_data"], found["version"]) == (secret["config_data"], 1)


def checklist() -> list[str]:
    """Returns the commands of the production checklist."""
    table = TEXT.partition("## Production checklist")[2].partition("\n## ")[0]
    found = re.findall(r"^\| [^|`]+ \| `(.+?)` \| ", table.replace("\\|", "\0"), re.MULTILINE)
    return [line.replace("\0", "|") for line in found]


def test_every_line_of_the_checklist_tells_met_from_unmet(tmp_path: Path, dsn: str) -> None:
    """Each command succeeds on a service as it should be, and those about settings fail on one with the defaults."""
    secret = "a secret for the checklist that is long enough"
    good = {
        "DATABASE_URL": dsn,
        "AUTH_REQUIRED": "true",
        "SECRET_KEY": secret,
        "ALLOWED_HOSTS": "amplifier.example",
        "RATE_LIMIT_REQUESTS_PER_MINUTE": "1000",
    }
    key = command(good, "applications", "create", "console", "--admin").stdout
    [key] = re.findall(r"app_[0-9a-f]{16}_\S{43}", key)
    headers = tmp_path / "headers"
    headers.write_text(f"X-API-Key: {key}\nAuthorization: Bearer {token(secret, sub='mia')}\n")
    commands = checklist()
    assert len(commands) == 9
    environ = {"HEADERS": str(headers), "AMPLIFIER_API_KEY": key, "PYTHONPATH": str(tmp_path)}
    folder = copied(tmp_path)
    with running_service(good) as service:
        httpx.post(
            f"{service.url}/configs",
            json=CONFIG,
            headers=dict(line.split(": ") for line in headers.read_text().splitlines()),
        )
        for line in commands:
            run(line, folder, good | environ | {"URL": service.url})
    with running_service({"DATABASE_URL": dsn, "ALLOWED_HOSTS": "*"}) as service:
        for line in commands:
            if line.startswith("curl") and ("/sessions" in line):
                with pytest.raises(AssertionError):
                    run(line, folder, environ | {"URL": service.url})


def test_dump_is_restored_and_serves(tmp_path: Path, dsn: str, empty_dsn: str) -> None:
    text = (ROOT / "docs/backup.md").read_text()
    [backup], [restore] = blocks("shell backup", text), blocks("shell restore", text)
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
