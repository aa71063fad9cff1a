"""Commands that cannot use a file or folder print one line on stderr and exit with 2."""

import json
import shutil
from pathlib import Path

import pytest

from amplifier import paths
from amplifier.errors import InputError
from amplifier.setting_sources import load
from tests.support.service import command

pytestmark = pytest.mark.slow

NOWHERE = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}
UNUSABLE = {
    "missing": "there is no such folder",
    "empty": "no *.sql files here",
    "other": "no *.sql files here",
    "file.sql": "there is no such folder",
}
UNREADABLE = {"missing.sql": "No such file or directory", "folder.sql": "Is a directory"}


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with folders and files that commands cannot use. Root may read every file, so none is protected."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").write_text("select 1;")
    (tmp_path / "file.sql").write_text("select 1;")
    return tmp_path


def refusal(*arguments: str, **environ: str) -> str:
    """Returns the line that a command prints when it exits with 2."""
    done = command({**NOWHERE, **environ}, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("amplifier-api: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_folder_of_queries_is_refused(odd: Path, name: str) -> None:
    said = f"{odd / name}: {UNUSABLE[name]} (set QUERIES_DIR to the folder with the queries)"
    assert said in refusal("queries", "check", "--queries", str(odd / name))
    assert said in refusal("queries", "top", QUERIES_DIR=str(odd / name))


def test_unusable_folder_of_queries_stops_other_commands(dsn: str, odd: Path) -> None:
    said = f"{odd / 'empty'}: no *.sql files here"
    for arguments in (("serve",), ("queries", "stub", "--check"), ("queries", "check", "--json")):
        assert said in refusal(*arguments, DATABASE_URL=dsn, QUERIES_DIR=str(odd / "empty"))


@pytest.mark.parametrize("name", UNREADABLE)
def test_unreadable_query_file_is_named(folder: Path, name: str) -> None:
    (folder / "folder.sql").mkdir() if name == "folder.sql" else (folder / name).symlink_to("gone")
    said = f"{folder / name}: cannot be read: {UNREADABLE[name]}"
    assert said in refusal("queries", "top", QUERIES_DIR=str(folder))


def test_damaged_plans_are_named(dsn: str, folder: Path) -> None:
    (folder / "plans.json").write_text("{")
    said = f"{folder / 'plans.json'}: has no plans that can be read"
    assert said in refusal("queries", "check", "--plans", "--queries", str(folder), DATABASE_URL=dsn)


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_folder_of_migrations_is_refused(odd: Path, name: str) -> None:
    assert f"{odd / name}: {UNUSABLE[name]}" in refusal("migrate", "check", "--migrations", str(odd / name))


def test_new_migration_needs_a_folder(odd: Path) -> None:
    assert "there is no such folder" in refusal("migrate", "new", "a b", "--migrations", str(odd / "missing"))
    first = command({}, "migrate", "new", "a b", "--migrations", str(odd / "empty"))
    assert (first.returncode, first.stdout.splitlines()[0]) == (0, str(odd / "empty/0001-a-b.sql"))


def test_unreadable_migration_is_named(odd: Path) -> None:
    for name, said in UNREADABLE.items():
        folder = Path(shutil.copytree(odd / "empty", odd / name.partition(".")[0]))
        (folder / name).mkdir() if name == "folder.sql" else (folder / name).symlink_to("gone")
        assert f"{folder / name}: cannot be read: {said}" in refusal("migrate", "check", "--migrations", str(folder))
    (odd / "other/0001-a-b.sql").write_bytes(b"\xff")
    assert "it must be text in UTF-8" in refusal("migrate", "check", "--migrations", str(odd / "other"))


def test_unreadable_settings_are_named(odd: Path) -> None:
    (odd / ".env").write_bytes(b"LOG_LEVEL=\xff")
    with pytest.raises(InputError, match=r"[.]env: cannot be read: .*invalid start byte"):
        load({}, str(odd / ".env"))


def test_unusable_earlier_document_is_refused(odd: Path) -> None:
    document = json.loads((paths.folder("openapi") / "openapi.json").read_text())
    texts = ("nothing", "[]", "{}", json.dumps(document | {"info": {"version": "new"}}), "[" * 100_000)
    for text in texts:
        (odd / "earlier.json").write_text(text)
        assert "earlier.json: is no OpenAPI document: " in refusal("openapi", "--against", str(odd / "earlier.json"))
    assert "cannot be read: No such file" in refusal("openapi", "--against", str(odd / "missing.json"))
    assert "cannot be read: Is a directory" in refusal("openapi", "--against", str(odd))
