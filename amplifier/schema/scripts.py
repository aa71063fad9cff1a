"""Parses the files of migrations: their statements with lines, and the directives in their comments.

The rules that use this are in `amplifier.schema.rules`.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import msgspec

from amplifier import paths

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
    """One fault of a migration. `line` counts from 1."""

    file: str
    line: int
    rule: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.problem}" + (f" ({self.remedy})" if self.remedy else "")


class Statement(NamedTuple):
    """One statement with its first and last line, counted from 1.

    `raw` is the text in the file, `text` the same in lower case without comments, strings, bodies and line breaks.
    """

    first: int
    last: int
    raw: str
    text: str
    allowed: frozenset[str]  # the rules that the comment before it disables

    @property
    def table(self) -> str | None:
        """The table that it creates, alters or writes to, if any."""
        found = _TABLE.match(self.text)
        return next(name for name in found.groups() if name) if found else None


class Script:
    """The file of a migration or of its rollback."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = paths.text_of(path)
        self.is_rollback = path.name.endswith(".rollback.sql")
        # yoyo reads directives only in the comment at the top
        head = _HEAD.match(self.text)
        self._directives = _DIRECTIVE.findall(head[0] if head else "")

    @property
    def is_transactional(self) -> bool:
        """True if yoyo runs the file in a transaction, which it does unless that says `-- transactional: false`."""
        return ("transactional", "false") not in [(name, value.strip()) for name, value in self._directives]

    @property
    def depends(self) -> list[str]:
        """The ids of the migrations in its `-- depends:` directive."""
        return [word for name, value in self._directives if name == "depends" for word in value.split()]

    @cached_property
    def statements(self) -> list[Statement]:
        """The statements, in order."""
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
        """The tables that it creates, which have no rows yet."""
        return {found[1] for statement in self.statements if (found := _CREATED.match(statement.text))}

    def allows(self, fault: Fault) -> bool:
        """Returns whether a comment before the statement disables the rule: `-- allow <rule>: <why>`."""
        return any(one.first <= fault.line <= one.last and fault.rule in one.allowed for one in self.statements)

    def fault(self, rule: str, problem: str, remedy: str, line: int = 1) -> Fault:
        """Returns a fault of this file."""
        return Fault(str(self.path), line, rule, problem, remedy)
