"""Docstrings of the package begin with a verb or the name of a thing, not with a question word."""

import ast
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import ROOT

QUESTION_WORDS = {"What", "Who", "Whom", "Whoever", "Whether", "How"}


def descriptions(part: Any) -> Iterator[str]:
    """Yields the descriptions in the OpenAPI document, which clients rely on and which keep their wording."""
    if isinstance(part, dict):
        if isinstance(part.get("description"), str):
            yield part["description"]
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from descriptions(inner)


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line and the docstring of the module and of each of its classes and functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def questions(source: str, published: set[str]) -> list[str]:
    """Returns the docstrings that begin with a question word and are not descriptions in the OpenAPI document."""
    return [
        f"line {line}: {text.splitlines()[0]}"
        for line, text in docstrings(source)
        if text.split()[0].strip(".,:;?!'") in QUESTION_WORDS and " ".join(text.split()) not in published
    ]


def test_no_docstring_begins_with_question_word() -> None:
    published = set(descriptions(json.loads((ROOT / "openapi/openapi.json").read_text())))
    files = sorted((ROOT / "amplifier").rglob("*.py"))
    found = {str(file.relative_to(ROOT)): questions(file.read_text(), published) for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize("word", sorted(QUESTION_WORDS))
def test_question_word_is_found_unless_published(word: str) -> None:
    text = f"{word} a name\n    stands for."
    source = f'class Name:\n    """{text}"""\n\n    def of(self):\n        """Returns whether it is so."""\n'
    assert questions(source, set()) == [f"line 1: {word} a name"]
    assert questions(source, {f"{word} a name stands for."}) == []
