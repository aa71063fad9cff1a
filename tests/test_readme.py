"""The README's tour does what it says: every line of it is run by a shell, against a new service."""

import json
import re
import subprocess
from pathlib import Path

from tests.conftest import private_folder
from tests.service import running_service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_tour(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 2
    with private_folder() as home, running_service({"AMPLIFIER_HOME": str(home)}) as service:
        script = "set -euo pipefail\n" + "\n".join(blocks).replace("http://127.0.0.1:8765", service.url)
        # one answer a line, and a failed call ends the script
        script = re.sub(r"curl -s", r"curl -s -S --fail-with-body -w '\\n'", script)
        run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines() if line]
    assert lines[0]["status"] == "healthy"
    assert [line["last_seq"] for line in lines if isinstance(line, dict) and "first_seq" in line] == [4, 5, 7]
    found = next(line for line in lines if isinstance(line, dict) and "sessions" in line)
    assert found["sessions"][0]["title"] == "Flight to Geneva"
    assert lines[-1] == [
        {"role": "user", "content": "Book it."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello! What can I do for you?"},
    ]


def test_the_settings_are_all_documented() -> None:
    import msgspec

    from amplifier.settings import Settings

    later = {"APP_INSIGHTS_CONNECTION_STRING"}
    names = {field.encode_name for field in msgspec.structs.fields(Settings)} - later
    assert {name for name in names if f"`{name}`" not in README} == set()
