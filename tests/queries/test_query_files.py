"""The size of the files of queries/."""

from pathlib import Path

import pytest

from amplifier import paths

FOLDER = paths.folder("queries")
LONG_FILES = {"runs.sql", "search.sql", "sessions.sql"}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sql")), ids=lambda file: file.name)
def test_file_of_queries_has_at_most_250_lines(file: Path) -> None:
    assert file.name in LONG_FILES or file.read_text().count("\n") <= 250
