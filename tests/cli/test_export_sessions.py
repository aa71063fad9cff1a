"""amplifier-api export: folders and ZIP files of many sessions, which later runs bring up to date."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from amplifier.cli import export_sessions
from amplifier.errors import InputError, OperatorError
from amplifier.exports import targets
from tests.conftest import SECRET
from tests.support.session_files import Claude, imported, write

Export = Callable[..., str]


class Killed(BaseException):
    """The end of a process."""


@pytest.fixture
async def sessions(alice: httpx.AsyncClient) -> list[str]:
    """The ids of three sessions of alice, each with a message."""
    made = []
    for number in range(3):
        body = {"title": f"Trip {number}", "tags": {"n": str(number)}}
        made.append((await alice.post("/sessions", json=body)).json()["session_id"])
        await say(alice, made[-1], f"number {number}")
    return made


async def say(client: httpx.AsyncClient, session_id: str, text: str) -> None:
    """Appends a message."""
    body = {"messages": [{"role": "user", "content": text}]}
    assert (await client.post(f"/sessions/{session_id}/transcript", json=body)).status_code == 201


@pytest.fixture
def export(dsn: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Export:
    """Runs the command in this process, beside the event loop of the test, and returns what it prints."""
    from amplifier.cli import main

    for name, value in {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}.items():
        monkeypatch.setenv(name, value)

    def run(output: Path, *options: str) -> str:
        arguments = main._parser().parse_args(["export", "--output", str(output), *options])
        capsys.readouterr()
        arguments.run(main.load(), arguments)
        return capsys.readouterr().out

    return run


async def exported(export: Export, output: Path, *options: str) -> str:
    """Returns what the command prints for alice."""
    return await asyncio.to_thread(export, output, "--user", "alice", *options)


def manifest(output: Path) -> dict[str, Any]:
    """Returns the sessions of a manifest by id, after comparing each file with its hash."""
    if output.suffix == ".zip":
        with zipfile.ZipFile(output) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    else:
        files = {file.name: file.read_bytes() for file in output.iterdir()}
    found = json.loads(files.pop("manifest.json"))["sessions"]
    assert {one["file"]: one["sha256"] for one in found} == {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items()
    }
    return {one["session_id"]: one for one in found}


@pytest.mark.parametrize("name", ["out", "out.zip"])
async def test_second_run_writes_what_has_changed(
    alice: httpx.AsyncClient, sessions: list[str], export: Export, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    assert await exported(export, output) == f"{output}: 3 written, 0 unchanged\n"
    first = manifest(output)
    assert set(first) == set(sessions)
    assert {one["title"] for one in first.values()} == {"Trip 0", "Trip 1", "Trip 2"}
    assert await exported(export, output) == f"{output}: 0 written, 3 unchanged\n"
    assert manifest(output) == first
    await say(alice, sessions[1], "more")
    assert await exported(export, output) == f"{output}: 1 written, 2 unchanged\n"
    second = manifest(output)
    assert {one for one in sessions if first[one] != second[one]} == {sessions[1]}
    assert second[sessions[1]]["messages"] == 2


@pytest.mark.parametrize("name", ["out", "out.zip"])
async def test_sessions_that_options_leave_out_stay(
    sessions: list[str], export: Export, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    await exported(export, output, "--tag", "n:0")
    assert await exported(export, output, "--q", '"number 1"') == f"{output}: 1 written, 0 unchanged\n"
    assert set(manifest(output)) == set(sessions[:2])
    assert (
        await exported(export, tmp_path / "none", "--until", "2020-01-01")
        == f"{tmp_path}/none: 0 written, 0 unchanged\n"
    )


async def test_lists_are_read_page_by_page(
    sessions: list[str], export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_SESSIONS", "_FOUND", "_PAGE"):
        monkeypatch.setattr(export_sessions, name, 1)
    assert await exported(export, tmp_path / "all") == f"{tmp_path}/all: 3 written, 0 unchanged\n"
    assert await exported(export, tmp_path / "q", "--q", "number") == f"{tmp_path}/q: 3 written, 0 unchanged\n"


@pytest.mark.parametrize("name", ["out", "out.zip"])
async def test_interrupted_run_leaves_no_half_file(
    sessions: list[str], export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    output, original = tmp_path / name, export_sessions._document

    async def broken(queries: Any, user_id: str, session: Any, *given: Any) -> Any:
        async for chunk in original(queries, user_id, session, *given):
            yield chunk
            if session.session_id == sessions[2]:
                raise Killed

    monkeypatch.setattr(export_sessions, "_document", broken)
    with pytest.raises(Killed):
        await exported(export, output)
    monkeypatch.setattr(export_sessions, "_document", original)
    if name == "out":
        assert set(manifest(output)) == set(sessions[:2])
        assert await exported(export, output) == f"{output}: 1 written, 2 unchanged\n"
    else:
        assert os.listdir(tmp_path) == []
        assert await exported(export, output) == f"{output}: 3 written, 0 unchanged\n"
    assert set(manifest(output)) == set(sessions)


@pytest.mark.parametrize("name", ["out", "out.zip"])
async def test_imported_session_is_written_as_it_was(
    alice: httpx.AsyncClient, dsn: str, export: Export, tmp_path: Path, name: str
) -> None:
    session_id, output = "019b2ea4-0000-7000-8000-000000000001", tmp_path / name
    made = Claude(session_id)
    path = write(tmp_path / f"{session_id}.jsonl", [made.say("one"), b"no json\n", made.answer("two")])
    for line in (b"", b'{"type": "progress"}\n'):  # which is no message: the session has the same clock
        write(path, [path.read_bytes(), line])
        imported(dsn, path, user_id="alice")
        assert await exported(export, output, "--format", "claude-code") == f"{output}: 1 written, 0 unchanged\n"
        [entry] = manifest(output).values()
        assert (entry["file"], entry["sha256"]) == (path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    assert await exported(export, output, "--format", "claude-code") == f"{output}: 0 written, 1 unchanged\n"


async def test_missing_and_short_files_are_written_again(sessions: list[str], export: Export, tmp_path: Path) -> None:
    await exported(export, tmp_path)
    first, second = (tmp_path / manifest(tmp_path)[one]["file"] for one in sessions[:2])
    first.unlink()
    second.write_bytes(b"short")
    assert await exported(export, tmp_path) == f"{tmp_path}: 2 written, 1 unchanged\n"
    manifest(tmp_path)


async def test_session_that_may_not_be_exported_is_counted(
    alice: httpx.AsyncClient, sessions: list[str], export: Export, tmp_path: Path
) -> None:
    for session_id, may in zip(sessions, (True, False, True), strict=True):
        body = {"user_id": "bob", "role": "editor", "permissions": {"export": may}}
        assert (await alice.post(f"/sessions/{session_id}/participants", json=body)).is_success
    with pytest.raises(OperatorError, match="1 sessions were left out: bob may read them, but not export them"):
        await asyncio.to_thread(export, tmp_path, "--user", "bob")
    assert set(manifest(tmp_path)) == {sessions[0], sessions[2]}


async def test_folder_of_others_is_refused(sessions: list[str], export: Export, tmp_path: Path) -> None:
    await exported(export, tmp_path)
    for options in (["--user", "bob"], ["--user", "alice", "--format", "html"]):
        with pytest.raises(InputError, match="has the sessions of alice as jsonl"):
            await asyncio.to_thread(export, tmp_path, *options)
    other = tmp_path / "other"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and has no manifest"):
        await exported(export, other)
    (tmp_path / "no.zip").write_text("no archive")
    with pytest.raises(InputError, match="is no export"):
        await exported(export, tmp_path / "no.zip")
    with pytest.raises(InputError):
        await exported(export, Path("/proc/none/out"))


async def test_manifest_that_names_files_elsewhere_is_refused(
    sessions: list[str], export: Export, tmp_path: Path
) -> None:
    await exported(export, tmp_path)
    file = tmp_path / "manifest.json"
    known = json.loads(file.read_text())
    known["sessions"][0]["file"] = "../elsewhere"
    file.write_text(json.dumps(known))
    with pytest.raises(InputError, match="names files elsewhere"):
        await exported(export, tmp_path)


async def test_user_must_be_named_while_authentication_is_on(export: Export, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="--user ID"):
        await asyncio.to_thread(export, tmp_path / "out")
    assert os.listdir(tmp_path) == []


async def test_wrong_time_is_an_operators_error(export: Export, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="updated_after"):
        await exported(export, tmp_path, "--since", "yesterday")


async def test_ids_that_are_no_file_names_get_some(tmp_path: Path) -> None:
    from amplifier.exports.names import archived_name
    from tests.exports.documents import session

    ids = ["a/b", "a b", "A", "a", "../x", "x" * 255, "x" * 254]
    names = {archived_name(session(session_id=one), "markdown").lower() for one in ids}
    assert len(names) == len(ids)
    assert all(Path(name).name == name for name in names)


@pytest.mark.slow
async def test_command_of_a_user_with_broken_pipe_or_kill_can_be_repeated(
    alice: httpx.AsyncClient, sessions: list[str], dsn: str, tmp_path: Path
) -> None:
    environment = os.environ | {"DATABASE_URL": dsn, "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
    command = [sys.executable, "-m", "amplifier", "export", "--user", "alice", "--output", str(tmp_path / "out")]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, "3 written" in done.stdout) == (0, True), done.stderr
    assert set(manifest(tmp_path / "out")) == set(sessions)
    assert targets.MANIFEST in {file.name for file in (tmp_path / "out").iterdir()}
