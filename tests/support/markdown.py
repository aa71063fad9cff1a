"""Runs the commands of documents: fenced blocks by kind, or a whole page against a service of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from amplifier.postgres import embedded
from tests.conftest import private_folder
from tests.support.paths import ROOT
from tests.support.service import running_service

README = (ROOT / "README.md").read_text()
_RUN = (
    "*.md",
    "docs/*.md",
    "docs/integrations/mcp.md",
    "docs/integrations/openai.md",
)  # other integrations are run by the tests of their clients
PAGES = sorted(str(page.relative_to(ROOT)) for pattern in _RUN for page in ROOT.glob(pattern))
_CONTINUES = re.compile(r"of the\s\[tour\]\((?:../)+README.md")
COPIED = ("amplifier", "migrations", "openapi", "queries")  # what commands in a checkout work on
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
_SHELLS = {"bash": ["bash"], "zsh": ["zsh", "-f", "-i", "-o", "no_prompt_sp", "-o", "no_prompt_cr"]}
_ADDRESS = "http://127.0.0.1:8765"
_SECRET_KEY = re.compile(r"^export AUTH_REQUIRED=true SECRET_KEY=(.*)", re.MULTILINE)
_BLOCK = re.compile(r"^( *)```(sh|sql)( [a-z ]+)?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


class Shown:
    """The output of a page's commands."""

    def __init__(self, output: str) -> None:
        self.lines = [line for line in output.splitlines() if line]

    @property
    def answers(self) -> list[Any]:
        """The lines that are JSON."""
        return [json.loads(line) for line in self.lines if line[0] in '{["']


def blocks(kind: str, text: str) -> list[str]:
    """Returns the fenced blocks whose info string matches the pattern `kind`."""
    found = re.findall(rf"^```(?:{kind})\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found, kind
    return found


def run(script: str, folder: Path, environ: Mapping[str, str], shell: str = "bash") -> str:
    """Returns the output of a script that runs in `folder`, with our programs first; the script must succeed.

    zsh is interactive, as where commands are pasted: it takes `#` for a command and a URL's `?` for a pattern.
    """
    programs = f"{Path(sys.executable).parent}"
    path = f"{programs}:{embedded.wheel_install()}/bin:{os.environ['PATH']}"
    script = script.replace(".venv/bin/", programs + "/")
    done = subprocess.run(
        _SHELLS[shell],
        input=f"set -o errexit -o nounset -o pipefail\n{script}\n",
        cwd=folder,
        env={**os.environ, "PATH": path, **environ, "PS1": "", "PS2": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copied(folder: Path) -> Path:
    """Copies what commands in a checkout work on to `folder`. Returns it."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run_page(page: str, folder: Path, shell: str) -> Shown:
    """Runs all `sh` and `sql` blocks of a page, in order, in one shell and against one new service.

    `shell` blocks are not run: they start services, or need Docker or a key. A request that fails ends the page,
    except in a block marked `sh refused`. Pages that continue the tour run the tour first.
    """
    text = (ROOT / page).read_text()
    parts = [README, text] if is_continued(text) else [text]
    secret = _SECRET_KEY.search(text)
    with private_folder() as home:
        environ = {"AMPLIFIER_HOME": str(home), "AMPLIFIER_CACHE": "none"}
        if secret:
            environ |= {"AUTH_REQUIRED": "true", "SECRET_KEY": secret[1]}
        psql = {"PGHOST": str(home / "run"), "PGUSER": embedded.ROLE, "PGDATABASE": embedded.DATABASE}
        with running_service(environ) as service:
            script = 'echo "page begins"\n'.join(map(_script, parts)).replace(_ADDRESS, service.url)
            output = run(script, copied(folder), {**environ, **psql, "PYTHONPATH": str(folder)}, shell)
    return Shown(output.partition("page begins\n")[2] if len(parts) > 1 else output)


def is_continued(text: str) -> bool:
    """Returns whether a page's commands need those of the tour."""
    return _CONTINUES.search(text) is not None


def runnable(text: str) -> list[tuple[str, str, str]]:
    """Returns language, mark and text of each block that can be run."""
    return [
        (language, mark.strip(), re.sub(rf"^{indent}", "", block, flags=re.MULTILINE))
        for indent, language, mark, block in _BLOCK.findall(text)
    ]


def _script(text: str) -> str:
    return "".join(_statements(*block) for block in runnable(text))


def _statements(language: str, mark: str, block: str) -> str:
    if language == "sql":
        return f"psql --quiet --no-psqlrc --tuples-only --set ON_ERROR_STOP=1 <<'SQL'\n{block}SQL\n"
    option = "" if mark == "refused" else "--fail-with-body"
    one_line_each = re.sub(r"curl -s", r"curl -s -S $option -w '\\n'", block)
    return f"option={option}\n{one_line_each}"
