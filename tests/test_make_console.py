"""`make serve` builds the console where it can, and serves in any case; the wheel contains it.

Stand-ins for Node and npm record their calls.
"""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

NODE = """#!/bin/sh
exit {status}
"""
NPM = """#!/bin/sh
echo "npm $1" >> ../calls
test -e ../broken && exit 1
case "$1" in run) mkdir -p ../amplifier/static/console && touch ../amplifier/static/console/index.html;; esac
mkdir -p node_modules
"""
BUILT, HINT = ["npm ci", "npm run", "serve"], "`make console` builds it"


class Checkout:
    """A folder with the Makefile, an environment that is ready, and sources of a console."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "build", "console/src", ".venv/bin"):
            (folder / name).mkdir(parents=True)
        for name in ("index.html", "package.json", "package-lock.json", "vite.config.ts", "src/main.tsx"):
            (folder / "console" / name).touch()
        for name in ("requirements.lock", "requirements-embedded.lock", "requirements-dev.lock", "pyproject.toml"):
            (folder / name).touch()
        shutil.copy(ROOT / "Makefile", folder)
        (folder / ".venv/serve-ready").touch()
        self.program("bin/node", NODE.format(status=0))
        self.program("bin/npm", NPM)
        self.program(".venv/bin/amplifier-api", '#!/bin/sh\necho "$1" >> calls\n')

    def program(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def serve(self) -> tuple[list[str], str]:
        """Returns the calls of npm and of the service, and what `make serve` printed."""
        calls = self.folder / "calls"
        calls.write_text("")
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        environ["PATH"] = f"{self.folder}/bin:{environ['PATH']}"
        done = subprocess.run(
            ["make", "serve"], cwd=self.folder, env=environ, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return calls.read_text().splitlines(), done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_serve_builds_once_and_again_after_a_change(checkout: Checkout) -> None:
    assert checkout.serve() == (BUILT, "Building the console\n")
    assert checkout.serve() == (["serve"], "")
    later = (checkout.folder / "amplifier/static/console/index.html").stat().st_mtime + 5
    os.utime(checkout.folder / "console/src/main.tsx", (later, later))
    assert checkout.serve()[0] == ["npm run", "serve"]


@pytest.mark.parametrize("reason", ["old", "broken"])
def test_serve_starts_without_a_console(checkout: Checkout, reason: str) -> None:
    if reason == "old":
        checkout.program("bin/node", NODE.format(status=1))
    else:
        (checkout.folder / "broken").touch()
    calls, output = checkout.serve()
    assert calls == {"old": ["serve"], "broken": ["npm ci", "serve"]}[reason]
    assert HINT in output


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_wheel_contains_the_console(tmp_path: Path) -> None:
    subprocess.run(["make", "console"], cwd=ROOT, check=True, capture_output=True, timeout=600)
    command = [ROOT / ".venv/bin/uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=600)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packaged = {name for name in archive.namelist() if name.startswith("amplifier/static/console/")}
    folder = ROOT / "amplifier/static/console"
    built = {str(file.relative_to(ROOT)) for file in folder.rglob("*") if file.is_file()}
    assert "amplifier/static/console/index.html" in built
    assert packaged == built
