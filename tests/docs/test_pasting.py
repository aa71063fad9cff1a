"""Commands of all documents can be pasted into bash and into zsh.

An interactive zsh runs a line that begins with `#`, and fails at a pattern without a match, such as a URL's `?`.
"""

import re
from pathlib import Path

import pytest

from tests.docs.test_documents import DOCUMENTS
from tests.docs.test_readme import RUN
from tests.support.markdown import needs_zsh, run
from tests.support.paths import ROOT

_BLOCK = re.compile(r"^( *)```(sh|shell)(?: [a-z ]+)?\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"(?:^|\s)#(?:\s|$)", re.MULTILINE)
_PLAIN = re.compile(r"^ *```\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# what patterns and paths in the commands name
_FILES = [
    "node_modules/.bin/tsc",
    "build/clients/amplifier_client-0.1.0-py3-none-any.whl",
    "travel_desk/agent.py",
    *(f"migrations/1-sessions-add_archived_at.{end}" for end in ("sql", "rollback.sql", "old")),
]
# no program runs, and only `#` fails
_STAND_IN = "command_not_found_handler() { [[ $1 != '#' ]]; }\nls() { echo $1; }\nPATH=/nowhere"


def commands(document: str, *languages: str) -> list[str]:
    """Returns the blocks of commands in these languages: `sh`, which other tests run, and `shell`."""
    found = _BLOCK.findall((ROOT / document).read_text())
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, kind, block in found if kind in languages]


WITH_COMMANDS = [document for document in DOCUMENTS if commands(document, "sh", "shell")]


@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_blocks_of_commands_contain_no_comments(document: str) -> None:
    assert [block for block in commands(document, "sh", "shell") if _COMMENT.search(block)] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_are_in_blocks_marked_as_such(document: str) -> None:
    begins = re.compile(r"^ *(?:\w+=\S* )*(?:curl|make|docker|psql|export|amplifier-api|\.venv/\S+) ", re.MULTILINE)
    plain = _PLAIN.findall((ROOT / document).read_text())
    assert [block for block in plain if begins.search(block)] == []


@needs_zsh
@pytest.mark.slow
@pytest.mark.parametrize("document", WITH_COMMANDS)
def test_zsh_understands_commands_that_are_not_run_in_it(document: str, tmp_path: Path) -> None:
    languages = ["shell"] if document in RUN else ["sh", "shell"]
    for name in _FILES:
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True, parents=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    script = "\n".join(
        [
            _STAND_IN,
            "api= json= AMPLIFIER_URL= DATABASE_URL= PGDATA=. BACKUP=. MOMENT=",
            *commands(document, *languages),
        ]
    )
    run(script, tmp_path, {}, "zsh")


@needs_zsh
@pytest.mark.parametrize("line", ["# a comment", "curl http://127.0.0.1/search?q=x", "rm *.old"])
def test_zsh_refuses_what_cannot_be_pasted(line: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        run(f"{_STAND_IN}\n{line}", tmp_path, {}, "zsh")
