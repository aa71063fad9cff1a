"""Runs the blocks of a page as a reader does: each one pasted by itself, in order, in one folder."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from serving import ROOT

_BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(page: str, folder: Path, environ: Mapping[str, str]) -> list[str]:
    """Returns what each `python` and `sh` block of a page prints. Fails if one fails; `shell` blocks are not run.

    `python3` is that of the tests, and requests without answer end after a minute.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    programs = {"python": [sys.executable, "-"], "sh": ["bash", "-euo", "pipefail"]}
    printed = []
    for language, text in _BLOCK.findall((ROOT / page).read_text()):
        script = text.replace("curl -s", "curl -sS --fail-with-body")
        done = subprocess.run(
            programs[language],
            input=script,
            cwd=folder,
            env={**os.environ, "PATH": path, **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{page}\n{text}\n{done.stdout}{done.stderr}"
        printed.append(done.stdout)
    return printed
