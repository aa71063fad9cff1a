"""Scripts about what the image is made of: advisories, and bases by digest. Stand-ins take the place of programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

DIGEST = "docker.io/library/python@sha256:0123"
SOUND = {"name": "aiosql", "version": "15.0", "vulns": []}
VULNERABLE = {"name": "httpx", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2"]}]}
UNKNOWN = {"name": "uvloop", "skip_reason": "not found"}


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def audit(folder: Path, output: str) -> subprocess.CompletedProcess[str]:
    """Runs .ci/audit with a pip-audit that prints `output`."""
    (folder / "output").write_text(output)
    program(folder / "bin/pip-audit", f"cat {folder}/output")
    (folder / "bin/python").symlink_to(sys.executable)
    command = [folder / "bin/python", ROOT / ".ci/audit", "requirements.lock"]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("packages", "status", "line"),
    [
        ([SOUND], 0, "1 of 1 packages of requirements.lock were audited, 0 are vulnerable"),
        ([SOUND, VULNERABLE], 1, "httpx 0.1: PYSEC-1, mended in 0.2"),
        ([SOUND, UNKNOWN], 3, "1 of 2 packages of requirements.lock were audited, 0 are vulnerable"),
        ([VULNERABLE, UNKNOWN], 1, "no advisories could be read for: uvloop. "),
    ],
)
def test_audit_tells_vulnerable_from_unread(tmp_path: Path, packages: list[Any], status: int, line: str) -> None:
    done = audit(tmp_path, json.dumps({"dependencies": packages}))
    assert (done.returncode, line in done.stdout) == (status, True), done.stdout + done.stderr


def test_audit_without_answer_is_no_success(tmp_path: Path) -> None:
    done = audit(tmp_path, "")
    assert (done.returncode, "nothing was audited" in done.stdout) == (3, True)


def test_bases_are_printed_by_digest(tmp_path: Path) -> None:
    program(tmp_path / "engine", f'echo "$@" >> {tmp_path}/calls; [ "$1" = pull ] || echo {DIGEST}')
    done = subprocess.run([ROOT / ".ci/pin-base", tmp_path / "engine"], capture_output=True, text=True, timeout=30)
    assert done.stdout.splitlines() == [DIGEST, DIGEST], done.stderr
    pulled = [line.split()[-1] for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("pull")]
    assert [image.split("/")[-1].split(":")[0] for image in pulled] == ["python", "postgres"]
