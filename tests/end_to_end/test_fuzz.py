"""Generated requests to every route of the OpenAPI document cause no faults and no undocumented responses."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import hypothesis
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck
from hypothesis import strategies as st

from tests.conftest import CONFIG
from tests.support.pair import Pair, pair
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

SECONDS = int(os.environ.get("FUZZ_SECONDS", "0"))  # 0: the same few requests each time
STREAMS = {
    "follow_session": "/sessions/{session_id}/events",
    "follow_sessions": "/events",
}  # these responses do not end
LIMIT = 300  # seconds, for the short run on a busy machine


@pytest.fixture
def service(dsn: str) -> Iterator[Pair]:
    """A service process and the credentials of an admin application."""
    with pair(dsn, is_admin=True, count=1) as one:
        yield one


def known(service: Pair) -> dict[str, str]:
    """Creates resources of the user mia and returns their ids."""
    with httpx.Client(base_url=service.urls[0], headers=service.headers("mia"), timeout=30) as mia:
        config_id = mia.post("/configs", json=CONFIG).json()["config_id"]
        session_id = mia.post("/sessions", json={"config_id": config_id}).json()["session_id"]
        mia.post(f"/sessions/{session_id}/participants", json={"user_id": "noor", "role": "editor"})
        invitation = mia.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"}).json()
        mia.put("/settings/a-key", json={"value": 1})
    ids = {"config_id": config_id, "session_id": session_id, "invitation_id": invitation["invitation_id"]}
    return {**ids, "user_id": "noor", "key": "a-key"}


def fuzz(service: Pair, folder: Path) -> str:
    """Runs schemathesis on the service and returns its report."""
    environ = {"SCHEMATHESIS_HOOKS": str(ROOT / "tests/support/fuzz_hooks.py"), "FUZZ_APP": "app"}
    environ["FUZZ_USER"] = "mia"
    environ["FUZZ_KNOWN"] = json.dumps(known(service))
    headers = [f"{name}: {value}" for name, value in service.headers("mia").items()]
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "run",
        f"{service.urls[0]}/openapi.json",
        "--no-color",
        *("--checks", "all"),
    ]
    command += [
        word for name in (*STREAMS, "follow_import", "stream_message") for word in ("--exclude-operation-id", name)
    ]
    command += [word for header in headers for word in ("--header", header)]
    command += ["--max-time", str(SECONDS)] if SECONDS else ["--max-examples", "5", "--generation-deterministic"]
    ran = subprocess.run(
        [*command, "--request-timeout", "30", "--continue-on-failure"],
        env=os.environ | environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT + 2 * SECONDS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_service_behaves_as_documented(service: Pair, tmp_path: Path) -> None:
    told = fuzz(service, tmp_path)
    assert "401 Unauthorized (" not in told, told
    assert " passed" in told
    answer = httpx.get(f"{service.urls[0]}/applications", headers=service.headers("mia"))
    assert answer.status_code == 200, "the credentials held to the end"


@pytest.mark.parametrize("path", STREAMS.values())
def test_stream_begins_or_is_refused_as_documented(service: Pair, path: str) -> None:
    document = schemathesis.openapi.from_url(f"{service.urls[0]}/openapi.json")
    operation, ids, statuses = document[path]["GET"], known(service), set()
    said = {*document.raw_schema["paths"][path]["get"]["responses"]}

    @hypothesis.settings(
        max_examples=1000 if SECONDS else 30,
        derandomize=not SECONDS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(
        operation.as_strategy() | operation.as_strategy(schemathesis.GenerationMode.NEGATIVE), st.booleans()
    )
    def begin(case: schemathesis.Case, exists: bool) -> None:
        if exists and "session_id" in case.path_parameters:
            case.path_parameters["session_id"] = ids["session_id"]
        asked = case.as_transport_kwargs(base_url=service.urls[0], headers=service.headers("mia"))
        with requests.request(**asked, stream=True, timeout=30) as answer:
            statuses.add(answer.status_code)
            assert str(answer.status_code) in said, answer.text
            if answer.status_code == 200:
                assert answer.headers["content-type"].startswith("text/event-stream")
            else:
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["status"] == answer.status_code

    begin()
    assert {200} < statuses, statuses
