"""sqlfluff and `.ci/sql-indentation` accept one style of queries, and report deviations with their place."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

GOOD = """-- name: list(actor_id, after)
-- What somebody has: 'quoted AND' or not.
select
    s.session_id,
    count(*) as messages
from sessions as s
where
    s.owner_user_id = :actor_id
    and (:after::bigint is null or s.last_seq > :after)
group by s.session_id
limit :limit
offset :offset;


-- name: touch(session_id)!
update sessions
set updated_at = now()
where session_id in (
    select session_id
    from sessions
    where session_id = :session_id
);
"""
BROKEN = {  # what is replaced by what, in which line, and what is said of it
    "an upper-case keyword": ("from sessions as s", "FROM sessions as s", 6, "Keywords must be lower"),
    "an upper-case function": ("now()", "NOW()", 17, "Function names must be lower"),
    "an upper-case name": ("count(*) as messages", "count(*) as Messages", 5, "identifiers must be"),
    "indented too far": ("    s.session_id,", "        s.session_id,", 4, "one level deeper"),
    "indented too little": ("    from sessions\n", "from sessions\n", 20, "less than what it belongs to"),
    "three spaces": ("    count(*)", "   count(*)", 5, "levels of 4 spaces"),
    "a bracket's end is elsewhere": ("\n);", "\n    );", 22, "opening bracket"),
    "a tab": ("    count(*)", "\tcount(*)", 5, "levels of 4 spaces"),
    "a space at the end": ("from sessions as s\n", "from sessions as s \n", 6, "spaces at the end"),
    "a space at a comment's end": ("or not.\n", "or not. \n", 2, "spaces at the end"),
    "and at the end": ("= :actor_id\n    and (", "= :actor_id and\n    (", 8, "Expected only leading"),
    "where with two": ("where\n    s.owner", "where s.owner", 7, "stands alone"),
    "select with two": ("select\n    s.session_id,\n", "select s.session_id,\n", 3, "new line"),
    "an alias without as": ("sessions as s", "sessions s", 6, "alias"),
    "a column's alias without as": ("count(*) as messages", "count(*) messages", 5, "alias"),
    "a comma that leads": ("s.session_id,\n    count", "s.session_id\n    , count", 5, "comma"),
    "three empty lines": ("\n\n\n-- name", "\n\n\n\n-- name", 15, "blank lines"),
    "two spaces": ("as s\n", "as  s\n", 6, "only single space"),
    "no end of the last line": ("\n);\n", "\n);", 22, "newline"),
}


def problems(folder: Path) -> list[str]:
    """Returns what `make check` says of queries: `file:line: problem`."""
    options = ["--config", str(ROOT / ".sqlfluff"), "--format", "github-annotation-native", "--disable-progress-bar"]
    sqlfluff = [str(Path(sys.executable).with_name("sqlfluff")), "lint", *options, str(folder)]
    style = subprocess.run(sqlfluff, capture_output=True, text=True, timeout=120)
    indentation = subprocess.run(
        [sys.executable, str(ROOT / ".ci/sql-indentation"), str(folder)], capture_output=True, text=True, timeout=120
    )
    assert (style.returncode, indentation.returncode) == (1, 1), style.stderr + indentation.stderr
    found = re.findall(r"file=(.*?),line=(\d+),.*?::(.*)", style.stdout)
    return [f"{file}:{line}: {problem}" for file, line, problem in found] + indentation.stdout.splitlines()


def test_queries_in_style_pass_and_others_are_refused(tmp_path: Path) -> None:
    """One run checks a good file and a file for each fault, because each run takes seconds."""
    (tmp_path / "good.sql").write_text(GOOD)
    for name, (old, new, _, _) in BROKEN.items():
        assert GOOD.count(old) == 1, name
        (tmp_path / f"{name.replace(' ', '_')}.sql").write_text(GOOD.replace(old, new))
    told = problems(tmp_path)
    assert [line for line in told if "/good.sql:" in line] == []
    missed = {}
    for name, (_, _, line, problem) in BROKEN.items():
        found = [one.split("sql:", 1)[1] for one in told if f"/{name.replace(' ', '_')}.sql:" in one]
        if not any(one.startswith(f"{line}: ") and problem in one for one in found):
            missed[name] = found
    assert missed == {}
