"""`amplifier-client import` and its functions: folders are sent in parts, and twice without harm."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
import tracemalloc
import uuid
from pathlib import Path

import pytest
from amplifier_client import Amplifier, imports
from serving import Service


def session(folder: Path, name: str, texts: list[str]) -> Path:
    """Writes a session of Claude Code."""
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {
            "type": "user",
            "uuid": f"{name}-{number}",
            "parentUuid": f"{name}-{number - 1}" if number else None,
            "sessionId": name,
            "timestamp": f"2026-03-01T10:00:{number:02}Z",
            "message": {"role": "user", "content": text},
        }
        for number, text in enumerate(texts)
    ]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def run(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command."""
    command = [sys.executable, "-m", "amplifier_client.imports", "import", "--url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_folder_is_imported_once(service: Service, tmp_path: Path) -> None:
    names = [uuid.uuid4().hex for _ in range(3)]
    word = f"word{names[0]}"
    for name in names:
        session(tmp_path / "projects/shop", name, [f"find the {word}", "more"])
    first = run(service.url, str(tmp_path / "projects"), "--part-bytes", "600")
    assert (first.returncode, first.stderr) == (0, "")
    assert "sessions: 3 new, 0 continued, 0 forks, 0 unchanged; 6 messages" in first.stdout
    with Amplifier(service.url) as client:
        assert len({hit.session_id for hit in client.search(word).items}) == 3
    again = run(service.url, str(tmp_path / "projects"))
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "nothing new")


def test_losses_are_shown(service: Service, tmp_path: Path) -> None:
    path = session(tmp_path, uuid.uuid4().hex, ["one"])
    path.write_text(path.read_text() + "{broken\n")
    done = run(service.url, str(path))
    assert done.returncode == 1
    assert f"{path.name}:2: it is no JSON object" in done.stderr


def test_service_that_refuses_is_quoted(service: Service, tmp_path: Path) -> None:
    path = session(tmp_path, "s1", ["one"])
    done = run(service.url, str(path), "--format", "none")
    assert (done.returncode, "format: choose from" in done.stderr) == (1, True)
    gone = run(service.url, str(tmp_path / "gone"))
    assert (gone.returncode, "there is no such file" in gone.stderr) == (1, True)


def test_files_are_found_in_order_and_divided(tmp_path: Path) -> None:
    for name in ("b/two.jsonl", "a/one.json", "a/no.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(10))
    found = list(imports.files([tmp_path]))
    assert [file.name for file in found] == [f"{tmp_path.name}/a/one.json", f"{tmp_path.name}/b/two.jsonl"]
    assert [len(part) for part in imports.parts(found, 10)] == [1, 1]
    assert [len(part) for part in imports.parts(found, 20)] == [2]


def test_archive_is_a_stream_of_what_the_files_have(tmp_path: Path) -> None:
    content = {"one.jsonl": b"1\n" * 700, f"{'d' * 90}/{'n' * 90}.jsonl": b"", "ü.jsonl": bytes(3_000_000)}
    for name, data in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    packed = b"".join(imports.packed(imports.files([tmp_path])))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as archive:
        read = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    assert read == {f"{tmp_path.name}/{name}": data for name, data in content.items()}


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    with (tmp_path / "large.jsonl").open("wb") as file:
        file.truncate(200_000_000)
    tracemalloc.start()
    try:
        assert sum(map(len, imports.packed(imports.files([tmp_path])))) < 1_000_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_places_are_those_of_the_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "codex"))
    for name in (".claude/projects", "codex/sessions"):
        (tmp_path / name).mkdir(parents=True)
    assert imports.places() == [tmp_path / ".claude/projects", tmp_path / "codex/sessions"]
