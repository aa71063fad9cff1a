"""The table of warnings in docs/telemetry.md has every warning and error of the code, and no other."""

import ast
import re
from collections.abc import Iterator

from tests.support.paths import ROOT

WRITING = {"logger.warning", "logger.error", "logger.exception"}
PLACEHOLDER = re.compile(r"%[.\d]*[a-z]")


def in_code() -> Iterator[str]:
    """Yields the messages of warnings and errors, with `…` for arguments."""
    for file in (ROOT / "amplifier").rglob("*.py"):
        text = file.read_text()
        for node in ast.walk(ast.parse(text)) if "logger." in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) in WRITING:
                yield PLACEHOLDER.sub("…", ast.literal_eval(node.args[0])).replace("%%", "%")


def test_table_lists_all_warnings_and_errors() -> None:
    section = (ROOT / "docs/telemetry.md").read_text().partition("### Warnings and errors\n")[2].partition("\n###")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    listed = {message for cell in cells for message in re.findall(r"`([^`]*)`", cell)}
    assert listed - {"… lines of the log were dropped: nothing read stderr"} == set(in_code())
