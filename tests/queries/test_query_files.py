"""The files of queries/: their size, the headers of long statements, and rules that only functions may contain."""

import re
from pathlib import Path

import pytest

from amplifier import paths
from tests.queries.test_checks import blocks

FOLDER = paths.folder("queries")
LONG_FILES = {"appends.sql", "participants.sql", "runs.sql", "search.sql", "session_includes.sql", "sessions.sql"}
EXPRESSION = re.compile(
    r"^\s*(?:with (?:recursive )?)?(\w+)(?: \(.*\))? as (?:(?:not )?materialized )?\($", re.MULTILINE
)
LONG_STATEMENTS = {name: text for name, text in blocks(FOLDER).items() if text.rstrip().count("\n") >= 100}


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.sql")), ids=lambda file: file.name)
def test_file_of_queries_has_at_most_250_lines(file: Path) -> None:
    assert file.name in LONG_FILES or file.read_text().count("\n") <= 250


@pytest.mark.parametrize("name", sorted(LONG_STATEMENTS))
def test_header_of_long_statement_explains_each_cte_in_order(name: str) -> None:
    header = re.findall(r"^-- @cte    (\w+) +\S.*$", LONG_STATEMENTS[name], re.MULTILINE)
    assert header == EXPRESSION.findall(LONG_STATEMENTS[name])


def test_queries_leave_rules_about_rights_to_functions() -> None:
    for name, text in blocks(FOLDER).items():
        assert "permissions ->" not in text, f"{name}: call may_send, may_cancel, may_invite or may_export"
