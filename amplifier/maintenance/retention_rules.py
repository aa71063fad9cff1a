"""Rules of retention: which sessions are deleted, and how long other rows are kept. Reads them from TOML files."""

import re
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
from psycopg.sql import SQL, Composable
from psycopg.sql import Literal as Value
from psycopg.types.json import Jsonb

from amplifier.errors import InputError, OperatorError

Status = Literal["active", "completed", "failed", "cancelled"]
_UNITS = {"h": 1, "d": 24, "w": 7 * 24, "y": 365 * 24}  # hours
_AGE = re.compile(r"([1-9][0-9]{0,5})([hdwy])")
AGE = "a number and a unit: h, d, w or y, such as 90d"


class RuleError(OperatorError):
    """Raised for a rule that cannot be applied. The message says what it takes."""

    status = 2


class Rule(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Sessions without activity for `older_than` that fulfil everything else that the rule names."""

    older_than: str
    name: str = ""
    status: list[Status] = []
    tags: dict[str, str] = {}
    config_id: list[str] = []

    def __post_init__(self) -> None:
        hours(self.older_than)

    def condition(self, now: datetime) -> Composable:
        """Returns the condition on a row `s` of sessions. A participant who reads a session keeps it active."""
        since = Value(now - timedelta(hours=hours(self.older_than)))
        parts = [
            SQL("s.updated_at < {}").format(since),
            SQL(
                "not exists (select from session_participants as p"
                " where p.session_id = s.session_id and p.last_active_at >= {})"
            ).format(since),
        ]
        if self.status:
            parts.append(SQL("s.status = any({})").format(Value(list(self.status))))
        if self.tags:
            parts.append(SQL("s.tags @> {}").format(Value(Jsonb(self.tags))))
        if self.config_id:
            parts.append(
                SQL(
                    "exists (select from configs as c where c.config_id = s.config_id"
                    " and coalesce(c.copied_from_config_id, c.config_id) = any({}))"
                ).format(Value(self.config_id))
            )
        return SQL("({})").format(SQL(" and ").join(parts))

    def __str__(self) -> str:
        named = [f"older than {self.older_than}"]
        named += [f"status {' or '.join(self.status)}"] if self.status else []
        named += [f"tag {key}={value}" for key, value in self.tags.items()]
        named += [f"config {' or '.join(self.config_id)}"] if self.config_id else []
        return self.name or ", ".join(named)


class RuleFile(msgspec.Struct, forbid_unknown_fields=True):
    """A TOML file of rules: `[[sessions]]` in the order in which they apply, and `[prune]`, table by table."""

    sessions: list[Rule] = []
    prune: dict[str, str] = {}
    archive: str | None = None


class Rules(NamedTuple):
    """Everything that a run of the command applies. A session falls under the first rule that it fulfils."""

    sessions: list[Rule]
    prune: dict[str, str]
    archive: Path | None


def hours(age: str) -> int:
    """Returns an age such as `90d` in hours. Raises RuleError."""
    if (read := _AGE.fullmatch(age)) is None:
        raise RuleError(f"{age!r} is no age: give {AGE}")
    return int(read[1]) * _UNITS[read[2]]


def from_file(path: Path) -> Rules:
    """Reads rules. A relative `archive` is in the folder of the file. Raises InputError and RuleError."""
    try:
        read = msgspec.convert(tomllib.loads(path.read_text()), RuleFile)
    except OSError as error:
        raise InputError(path, error.strerror or "cannot be read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InputError(path, str(error), "see Rules in docs/privacy.md") from error
    return Rules(read.sessions, read.prune, path.parent / read.archive if read.archive else None)


def only(rule: Rule, former: list[Rule], now: datetime) -> Composable:
    """Returns the condition of a rule on sessions that fall under no former rule."""
    return SQL(" and not ").join([rule.condition(now), *(one.condition(now) for one in former)])


def unbound(hold: str) -> Composable:
    """Returns the condition that no rule overrides: no legal hold, and no run that is going on or waits."""
    return SQL(
        "not s.tags ? {} and not exists (select from runs as r"
        " where r.session_id = s.session_id and r.status in ('queued', 'running'))"
    ).format(Value(hold))
