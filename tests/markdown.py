"""Runs what documents show: their fenced blocks, by kind."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def blocks(kind: str, text: str) -> list[str]:
    """The fenced blocks of a kind, a pattern, in a document."""
    found = re.findall(rf"^```(?:{kind})\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, kind
    return found


def run(script: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What a shell script printed that was run in `folder`, with our programs first; it must not fail."""
    programs = f"{Path(sys.executable).parent}"
    environ = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", **environ}
    done = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script.replace('.venv/bin/', programs + '/')}"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
