"""amplifier-api retention: deletes or archives sessions by rule, and prunes tables that grow with use."""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amplifier.cli.target_database import opened
from amplifier.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from amplifier.maintenance.operator_database import Connection
    from amplifier.maintenance.pruning import Pruning
    from amplifier.maintenance.retention import Retention
    from amplifier.maintenance.retention_rules import Rule, Rules

_STATUSES = ("active", "completed", "failed", "cancelled")


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "retention",
        help="delete or archive old sessions, and prune tables that grow",
        description="Counts what the rules delete. With --apply, deletes it. AGE is a number and a unit: h, d, w or y.",
    )
    parser.add_argument("--apply", action="store_true", help="delete; without it nothing changes")
    parser.add_argument(
        "--rules", metavar="FILE", type=Path, help="rules from a TOML file, before those of the options"
    )
    parser.add_argument("--older-than", metavar="AGE", help="sessions without activity for this long")
    parser.add_argument("--status", action="append", choices=_STATUSES, default=[], help="only these; repeatable")
    parser.add_argument(
        "--tag", metavar="KEY=VALUE", action="append", default=[], help="only with this tag; repeatable, all must match"
    )
    parser.add_argument("--config", metavar="ID", action="append", default=[], help="only of this config; repeatable")
    parser.add_argument(
        "--archive", metavar="DIR", type=Path, help="write each session into a file here, then delete it"
    )
    parser.add_argument(
        "--prune", metavar="TABLE=AGE", action="append", default=[], help="delete old rows of a table; repeatable"
    )
    parser.add_argument("--stop-after", metavar="AGE", help="begin nothing more after this long, such as 2h")
    parser.set_defaults(run=_run)


def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.maintenance.operator_database import connected, take_over
    from amplifier.maintenance.pruning import Pruning
    from amplifier.maintenance.retention import Retention
    from amplifier.maintenance.session_archive import Archive

    rules, deadline = _rules(arguments), _deadline(arguments.stop_after)
    with opened(settings) as dsn, connected(dsn) as connection:
        if arguments.apply:
            take_over(connection)
        archive = Archive(rules.archive) if arguments.apply and rules.archive else None
        hold = settings.legal_hold_tag
        retention = Retention(connection, hold, archive, _payloads, deadline)
        prunings = [Pruning(connection, table, age, hold) for table, age in rules.prune.items()]
        if arguments.apply:
            _apply(connection, retention, rules.sessions, prunings, deadline)
        else:
            _count(retention, rules, prunings, hold)


def _count(retention: "Retention", rules: "Rules", prunings: "list[Pruning]", hold: str) -> None:
    """Prints what --apply would delete."""
    for number, rule in enumerate(rules.sessions):
        found = retention.find(rule, rules.sessions[:number])
        print(f"{rule}: {found.sessions} sessions, {found.messages} messages, {_size(found.bytes)}")
        if found.held:
            print(f"  {found.held} more stay: their tag {hold} is a legal hold")
        if found.busy:
            print(f"  {found.busy} more stay: a run is going on or waits")
    for pruning in prunings:
        print(f"{pruning.table} older than {pruning.age}: {pruning.count()} rows")
    where = f"archive them in {rules.archive} and delete them" if rules.archive and rules.sessions else "delete them"
    print(f"Nothing was changed. To {where}, add --apply")


def _apply(
    connection: "Connection",
    retention: "Retention",
    rules: "list[Rule]",
    prunings: "list[Pruning]",
    deadline: float | None,
) -> None:
    """Deletes, with a progress bar, and prints what was deleted."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    said = []
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:
        for number, rule in enumerate(rules):
            former = rules[:number]
            deleted = retention.apply(rule, former, _reporter(bar, str(rule), retention.count(rule, former)))
            said.append(f"{rule}: deleted {deleted.sessions} sessions with {deleted.messages} messages")
            if deleted.skipped:
                said.append(f"  {deleted.skipped} were in use or changed meanwhile, and stay for the next run")
        for pruning in prunings:
            name = f"{pruning.table} older than {pruning.age}"
            rows = pruning.apply(_reporter(bar, name, pruning.count()), lambda: _is_over(deadline))
            said.append(f"{name}: deleted {rows} rows")
    if _is_over(deadline):
        said.append("the time is over: run it again for the rest")
    print("\n".join(said))


def _reporter(bar: "Progress", name: str, total: int) -> Any:
    task = bar.add_task(name, total=total)
    return lambda done: bar.update(task, advance=done)


def _rules(arguments: argparse.Namespace) -> "Rules":
    """Returns the rules of the file, then those of the options. Raises RuleError and InputError."""
    from amplifier.maintenance import retention_rules

    given = retention_rules.from_file(arguments.rules) if arguments.rules else retention_rules.Rules([], {}, None)
    sessions, prune = list(given.sessions), dict(given.prune)
    if arguments.older_than:
        sessions.append(
            retention_rules.Rule(
                older_than=arguments.older_than,
                status=arguments.status,
                tags=dict(_pairs(arguments.tag, "--tag")),
                config_id=arguments.config,
            )
        )
    elif arguments.status or arguments.tag or arguments.config:
        raise retention_rules.RuleError("say how old sessions must be: add --older-than AGE")
    prune |= dict(_pairs(arguments.prune, "--prune"))
    if not sessions and not prune:
        raise retention_rules.RuleError("there is no rule: give --older-than, --prune or --rules")
    return retention_rules.Rules(sessions, prune, arguments.archive or given.archive)


def _pairs(texts: list[str], option: str) -> Iterator[tuple[str, str]]:
    from amplifier.maintenance.retention_rules import RuleError

    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise RuleError(f"{option} {text}: give it as NAME=VALUE")
        yield name, value


def _deadline(age: str | None) -> float | None:
    from amplifier.maintenance.retention_rules import hours

    return None if age is None else time.monotonic() + hours(age) * 3600


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def _payloads(gone: list[tuple[str, list[str]]]) -> Iterator[str]:
    from amplifier.live.notifications import gone_payloads

    return gone_payloads(gone)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"
