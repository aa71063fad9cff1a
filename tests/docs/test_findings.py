"""The findings that queries/README.md explains are texts of the checks."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import aiosql
import pytest

from tests.support.paths import ROOT

SECTION = (ROOT / "queries/README.md").read_text().partition("## What the checks say")[2].partition("\n## ")[0]
EXPLAINED = [
    phrase
    for row in re.findall(r"^\| ([^|]*`[^|]*) \|", SECTION, re.MULTILINE)
    for phrase in re.findall(r"``\s(.*?)\s``|`([^`]+)`", row)
]
PHRASES = [double or single for double, single in EXPLAINED]


def texts() -> Iterator[str]:
    """Yields the strings in the code of the checks, and of aiosql, as patterns with anything in place of values."""
    for file in [*(ROOT / "amplifier/queries").rglob("*.py"), *Path(aiosql.__file__).parent.rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            constants = [part.value if isinstance(part, ast.Constant) else None for part in parts]
            if any(isinstance(one, str) and " " in one.strip() for one in constants):
                yield "".join(re.escape(one) if isinstance(one, str) else ".+" for one in constants)


@pytest.mark.parametrize("phrase", PHRASES)
def test_explained_finding_is_a_text_of_the_checks(phrase: str) -> None:
    parts = [re.escape(part.strip()) for part in phrase.split("...") if part.strip()]
    sample = phrase.removesuffix(" ...").replace("...", "x")
    assert any(all(part in text for part in parts) or re.fullmatch(text, sample) for text in texts())


def test_page_explains_findings() -> None:
    assert len(PHRASES) > 15
