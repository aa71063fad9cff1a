"""Every regular expression of the package takes time proportional to the text, for any text."""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import amplifier
from tests.support.growth import LIMIT, adversaries, exponent

pytestmark = pytest.mark.slow

_METHODS = ("match", "fullmatch", "search", "sub", "subn", "findall", "finditer", "split")
# Texts of the operator's own: files of queries and migrations, plans, the settings. No caller's text meets these.
_OPERATORS = (
    *("amplifier.schema.", "amplifier.queries.", "amplifier.openapi."),
    *("amplifier.settings", "amplifier.postgres_urls", "amplifier.api.docs"),
)


class Use(NamedTuple):
    """A pattern, its name or line in the source, and a method with which it is used."""

    where: str
    pattern: "re.Pattern[Any]"
    method: str


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(amplifier.__path__, "amplifier."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def uses(module: ModuleType) -> Iterator[Use]:
    """Returns all patterns of a module. Raises if one cannot be evaluated, or is used with an unknown method."""
    tree = ast.parse(Path(str(module.__file__)).read_text())
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not (isinstance(node.func.value, ast.Name) and node.func.value.id == "re"):
            continue
        where = f"{module.__name__}:{node.lineno}"
        if node.func.attr == "compile":
            pattern = eval(ast.unparse(node), vars(module))
            methods = _used(tree, _assigned(tree, node))
            assert methods, f"{where}: assign it to a name, and use that with one of {_METHODS}"
        elif node.func.attr in _METHODS:
            flags = next((ast.unparse(one.value) for one in node.keywords if one.arg == "flags"), "0")
            flags = ast.unparse(node.args[2]) if len(node.args) == 3 and node.func.attr.endswith("match") else flags
            given = eval(f"({ast.unparse(node.args[0])}, {flags})", vars(module))
            pattern, methods = re.compile(*given), {node.func.attr}
        else:
            continue
        for method in methods:
            yield Use(where, pattern, method)


def _assigned(tree: ast.Module, call: ast.Call) -> str:
    """Returns the name to which a module assigns a pattern."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.value is call and isinstance(node.targets[0], ast.Name):
            return node.targets[0].id
    return ""


def _used(tree: ast.Module, name: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
        and node.attr in _METHODS
    }


def grown(pattern: "re.Pattern[Any]", method: str) -> str:
    """Returns a text for which the time grows faster than the length, and the exponent. Returns "" without one."""

    def run(text: Any) -> None:
        if method in ("sub", "subn"):
            pattern.sub(text[:0], text)
        elif method == "finditer":
            list(pattern.finditer(text))
        else:
            getattr(pattern, method)(text)

    def encoded(text: str) -> Any:
        return text if isinstance(pattern.pattern, str) else text.encode("latin-1", "replace")

    for start, part, end in adversaries(pattern):
        grows = exponent(run, lambda size: encoded(start + (part * (size // len(part) + 1)) + end))  # noqa: B023
        if grows > LIMIT:
            return f"{start!r} + {part!r} * n + {end!r}: {grows:.1f}"
    return ""


def test_pattern_takes_time_in_proportion_to_text() -> None:
    callers = [use for module in modules() if not module.__name__.startswith(_OPERATORS) for use in uses(module)]
    assert len(callers) > 25
    assert {"search", "fullmatch", "match", "sub", "finditer"} <= {use.method for use in callers}
    slow = {f"{use.where}-{use.method}": grown(use.pattern, use.method) for use in callers}
    assert {where: text for where, text in slow.items() if text} == {}


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"/call\s+(\S+)\s*(\{.*\})?\s*", "fullmatch"),  # earlier patterns that took seconds
        (r"[^\s'\"]*\*{3,}[^\s'\"]*", "sub"),
        (r'\s*(W/)?"([^"]*)"\s*(?:,|\Z)', "findall"),
        (r"(a+)+$", "match"),
        (r"(?:a|aa)+$", "search"),
        (r"\$\{.*\}", "search"),
        (r"<[^>]*>", "search"),
    ],
)
def test_pattern_that_goes_back_is_found(pattern: str, method: str) -> None:
    assert grown(re.compile(pattern, re.DOTALL), method)
