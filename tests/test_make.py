"""The Makefile installs what a target needs. Stand-ins for Python, pip and uv record how they are called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCKS = ("requirements.lock", "requirements-embedded.lock", "requirements-dev.lock")
SERVING = "--require-hashes --requirement requirements.lock --requirement requirements-embedded.lock"
PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p .venv/bin && cp stand-ins/* .venv/bin; fi
"""
PIP = """#!/bin/sh
echo "pip $*" >> calls
case "$*" in */dev/stdin) head -n 1 >> calls; cp uv .venv/bin || exit 1;; esac
test ! -e broken
"""
UV = """#!/bin/sh
echo "uv $*" >> calls
test ! -e broken
"""


class Checkout:
    """A folder with the Makefile and the lock files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", *LOCKS):
            shutil.copy(ROOT / name, folder / name)
        (folder / "stand-ins").mkdir()
        self.program("python", PYTHON)
        self.program("stand-ins/pip", PIP)
        self.program("uv", UV)

    def program(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def make(self, target: str, status: int = 0) -> list[str]:
        """Returns the calls of pip and uv, with the first line of what is given to pip."""
        calls = self.folder / "calls"
        calls.write_text("")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        command = ["make", "PYTHON=./python", f".venv/{target}"]
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stdout + done.stderr
        return [line.replace(" --disable-pip-version-check", "") for line in calls.read_text().splitlines()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_serving_needs_no_tools_of_development(checkout: Checkout) -> None:
    bootstrap, uv, packages, project = checkout.make("serve-ready")
    assert bootstrap == "pip install --require-hashes --requirement /dev/stdin"
    assert uv.startswith("uv==")
    assert packages == f"uv pip install --python .venv/bin/python {SERVING}"
    assert project == "uv pip install --python .venv/bin/python --no-deps --editable ."
    assert checkout.make("serve-ready") == []


def test_tools_of_development_come_on_top(checkout: Checkout) -> None:
    checkout.make("serve-ready")
    tools = "uv pip install --python .venv/bin/python --require-hashes --requirement requirements-dev.lock"
    assert checkout.make("ready") == [tools]
    assert checkout.make("ready") == []
    (checkout.folder / "requirements.lock").touch()
    *serving, last = checkout.make("ready")
    assert (len(serving), last) == (4, tools)


def test_pip_installs_where_uv_cannot_be_had(checkout: Checkout) -> None:
    (checkout.folder / "uv").unlink()
    bootstrap, _, packages, project = checkout.make("serve-ready")
    assert bootstrap.endswith("/dev/stdin")
    assert (packages, project) == (f"pip install {SERVING}", "pip install --no-deps --editable .")


def test_broken_install_is_repeated(checkout: Checkout) -> None:
    (checkout.folder / "broken").touch()
    assert checkout.make("serve-ready", 2)[-2:] == [
        f"uv pip install --python .venv/bin/python {SERVING}",
        f"pip install {SERVING}",
    ]
    (checkout.folder / "broken").unlink()
    assert len(checkout.make("serve-ready")) == 4


def test_old_python_is_refused_before_anything_is_made(checkout: Checkout) -> None:
    checkout.program("python", "#!/bin/sh\nexit 1\n")
    assert checkout.make("serve-ready", 2) == []
    assert not (checkout.folder / ".venv").exists()
