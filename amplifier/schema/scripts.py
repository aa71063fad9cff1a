"""The files of migrations as text: which statements stand where, and what their comments say."""

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

_COMMENTS = r"--[^\n]*|/\*.*?\*/"
_HIDDEN = re.compile(rf"{_COMMENTS}|(\$\w*\$).*?\1|'(?:[^']|'')*'", re.DOTALL)
_HEAD = re.compile(r"(?:[ \t]*(?:--[^\n]*)?\n)*")
_DIRECTIVE = re.compile(r"^[ \t]*--[ \t]*(transactional|depends)[ \t]*:(.*)$", re.MULTILINE)
_ALLOWED = re.compile(r"^\s*-- allow ([a-z-]+): \S", re.MULTILINE)
_NEEDLESS = re.compile(r'\bpublic\.|"')
_CREATED = re.compile(r"create (?:unlogged )?table (?:if not exists )?(\w+)")
_TABLE = re.compile(
    r"(?:create|alter) (?:unlogged )?table (?:if (?:not )?exists )?(?:only )?(\w+)"
    r"|create (?:unique )?index .*? ?on (?:only )?(\w+)"
    r"|(?:truncate|cluster|lock)(?: table)?(?: only)? (\w+)"
    r"|(?:update|delete from|insert into|merge into) (?:only )?(\w+)"
)


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with a migration. `line` counts from 1."""

    file: str
    line: int
    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.problem}" + (f" ({self.remedy})" if self.remedy else "")


class Statement(NamedTuple):
    """One statement: its lines, its text as it is, and in small letters without strings, bodies and line breaks."""

    first: int
    last: int
    raw: str
    text: str
    allowed: frozenset[str]  # rules that the comment before it sets aside, with a reason

    @property
    def table(self) -> str | None:
        """The table that it makes, changes or writes to."""
        found = _TABLE.match(self.text)
        return next(name for name in found.groups() if name) if found else None


class Script:
    """A migration's file, or its rollback's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text()
        self.is_rollback = path.name.endswith(".rollback.sql")
        # yoyo reads its directives in the first comment only
        head = _HEAD.match(self.text)
        self._directives = _DIRECTIVE.findall(head[0] if head else "")

    @property
    def is_transactional(self) -> bool:
        """Whether yoyo runs it in a transaction."""
        return ("transactional", "false") not in [(name, value.strip()) for name, value in self._directives]

    @property
    def depends(self) -> list[str]:
        """What it says that it comes after."""
        return [word for name, value in self._directives if name == "depends" for word in value.split()]

    @cached_property
    def statements(self) -> list[Statement]:
        """Its statements, in order."""
        hidden = _HIDDEN.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)
        statements, end = [], 0
        for found in re.finditer(r"[^;]+", hidden):
            if text := " ".join(_NEEDLESS.sub("", found[0].lower()).split()):
                start = found.start() + len(found[0]) - len(found[0].lstrip())
                first, last = (self.text.count("\n", 0, place) + 1 for place in (start, found.end()))
                allowed = frozenset(_ALLOWED.findall(self.text[end:start]))
                statements.append(Statement(first, last, self.text[start : found.end()], text, allowed))
            end = found.end()
        return statements

    @cached_property
    def created(self) -> set[str]:
        """The tables that it makes, in which there is nothing yet."""
        return {found[1] for statement in self.statements if (found := _CREATED.match(statement.text))}

    def allows(self, fault: Fault) -> bool:
        """Whether a comment before the statement sets the rule aside: `-- allow <rule>: <why>`."""
        return any(one.first <= fault.line <= one.last and fault.rule in one.allowed for one in self.statements)

    def fault(self, rule: str, problem: str, remedy: str, line: int = 1) -> Fault:
        """A fault of this file."""
        return Fault(str(self.path), line, rule, problem, remedy)
