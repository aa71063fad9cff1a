"""Rules of retention from TOML files: what they say, and what is refused with the reason."""

from pathlib import Path

import pytest

from amplifier.errors import OperatorError
from amplifier.maintenance.retention_rules import Rule, from_file, hours

FILE = """
archive = "old"

[[sessions]]
name = "finished"
older_than = "90d"
status = ["completed", "failed"]
tags = { team = "desk" }
config_id = ["c1"]

[[sessions]]
older_than = "2y"

[prune]
runs = "12h"
"""


def test_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "retention.toml"
    file.write_text(FILE)
    rules = from_file(file)
    assert rules.archive == tmp_path / "old"
    assert rules.prune == {"runs": "12h"}
    [first, second] = rules.sessions
    assert first == Rule(
        name="finished", older_than="90d", status=["completed", "failed"], tags={"team": "desk"}, config_id=["c1"]
    )
    assert (str(first), str(second)) == ("finished", "older than 2y")


@pytest.mark.parametrize(("age", "expected"), [("12h", 12), ("90d", 2160), ("2w", 336), ("1y", 8760)])
def test_age_is_read(age: str, expected: int) -> None:
    assert hours(age) == expected


@pytest.mark.parametrize("age", ["", "90", "d", "0d", "-1d", "1.5d", "90m", "90d ", "9999999d"])
def test_other_age_is_refused(age: str) -> None:
    with pytest.raises(OperatorError, match="is no age: give a number and a unit"):
        hours(age)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sessions", "Expected '='"),
        ("[[sessions]]\nname = 'x'", "missing required field `older_than`"),
        ("[[sessions]]\nolder_than = '1d'\nstate = 'x'", "unknown field `state`"),
        ("[[sessions]]\nolder_than = '1d'\nstatus = ['done']", "Invalid enum value 'done'"),
        ("[[sessions]]\nolder_than = '1 day'", "is no age"),
        ("[keep]\nruns = '1d'", "unknown field `keep`"),
    ],
)
def test_wrong_file_is_refused_with_reason(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "retention.toml"
    file.write_text(text)
    with pytest.raises(OperatorError, match=reason):
        from_file(file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"none\.toml: No such file"):
        from_file(tmp_path / "none.toml")
