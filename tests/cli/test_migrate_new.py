"""`amplifier-api migrate new` writes numbered skeletons, which do not pass the check before they are filled in."""

from pathlib import Path

import pytest

from amplifier.errors import InputError
from amplifier.schema import check
from tests.schema.test_check import LAST, LIMIT, NEXT, folder, told

__all__ = ["folder"]


def test_new_writes_skeletons_that_do_not_pass(folder: Path) -> None:
    file, rollback = check.new(folder, "sessions add archived_at")
    assert (file.name, rollback.name) == (
        f"{NEXT}-sessions-add_archived_at.sql",
        f"{NEXT}-sessions-add_archived_at.rollback.sql",
    )
    assert file.read_text().startswith(f"-- depends: {LAST}\n")
    assert LIMIT in file.read_text()
    assert LIMIT in rollback.read_text()
    assert told(folder) == [
        f"{name}:{line}: fill-in" for name, lines in ((rollback.name, (1, 4)), (file.name, (2, 5))) for line in lines
    ]
    second, _ = check.new(folder, "sessions index archived_at")
    assert second.read_text().startswith(f"-- depends: {file.stem}\n")
    assert int(second.name[:4]) == int(NEXT) + 1


def test_first_migration_has_no_dependency(tmp_path: Path) -> None:
    file, _ = check.new(tmp_path, "things create")
    assert file.name == "0001-things-create.sql"
    assert "depends" not in file.read_text()


@pytest.mark.parametrize(
    "title",
    ["", "sessions", "Sessions add x", "sessions add-x", "../x add y", "sessions  add", "1s add", "sessions add\n"],
)
def test_new_refuses_other_titles(folder: Path, title: str) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(check.MigrationsError, match="in lower case, like"):
        check.new(folder, title)
    assert sorted(folder.iterdir()) == before


def test_new_overwrites_nothing(folder: Path) -> None:
    there = folder / f"{NEXT}-sessions-add_x.rollback.sql"
    there.write_text("precious")
    with pytest.raises(check.MigrationsError, match="exists"):
        check.new(folder, "sessions add x")
    assert there.read_text() == "precious"
    assert not there.with_name(f"{NEXT}-sessions-add_x.sql").exists()


def test_new_needs_a_folder_with_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        check.new(tmp_path / "missing", "sessions add x")
    (tmp_path / "sessions.sql").write_text("select null;")
    with pytest.raises(check.MigrationsError, match="has no number"):
        check.new(tmp_path, "sessions add x")
