"""amplifier-api users: exports everything about one user, and erases a user."""

import argparse
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from amplifier.cli.target_database import opened
from amplifier.errors import InputError, OperatorError
from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    users = commands.add_parser("users", help="export or erase a user").add_subparsers(required=True, metavar="command")
    export = users.add_parser("export", help="everything about a user as lines of JSON")
    export.add_argument("--output", metavar="FILE", type=Path, help="write to this file instead of stdout")
    export.set_defaults(run=_export)
    erase = users.add_parser("erase", help="delete what is a user's alone, and replace the name in what is shared")
    erase.add_argument("--apply", action="store_true", help="erase; without it nothing changes")
    erase.set_defaults(run=_erase)
    for command in (export, erase):
        command.add_argument("user_id", metavar="USER", help="the user_id: the `sub` of the user's tokens")


def _export(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.maintenance import user_export
    from amplifier.maintenance.operator_database import connected

    with (
        opened(settings) as dsn,
        connected(dsn) as connection,
        _progress("sessions") as report,
        _written(arguments.output) as write,
    ):
        for line in user_export.lines(connection, arguments.user_id, report):
            write(line)


def _erase(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.maintenance.operator_database import connected, take_over
    from amplifier.maintenance.user_erasure import Erasure, on_hold

    user_id, hold = arguments.user_id, settings.legal_hold_tag
    with opened(settings) as dsn, connected(dsn) as connection:
        if arguments.apply:
            take_over(connection)
        erasure = Erasure(connection, user_id, hold)
        session_ids = erasure.sessions()
        if held := erasure.held(session_ids):
            raise OperatorError(on_hold(user_id, held, hold))
        if not arguments.apply:
            _print(erasure.plan(session_ids), f"the database holds nothing about {user_id}")
            print("Nothing was changed. To erase, add --apply")
            return
        with _progress("sessions") as report:
            was_active = erasure.is_active()
            erasure.apply(report)
        _print(erasure.done, "nothing was found")
        print(f"{user_id} is now {erasure.pseudonym} where others read it")
    if was_active:
        raise OperatorError(
            f"{user_id} was active within the last two minutes, and may be again: block the user where tokens are "
            "issued, wait until the last one has expired and two minutes more, and run it again"
        )


def _print(counts: "Counter[str]", nothing: str) -> None:
    for what, count in counts.items():
        print(f"{what}: {count}")
    if not counts:
        print(nothing)


@contextlib.contextmanager
def _written(output: Path | None) -> Iterator[Callable[[str], object]]:
    """Yields a function that writes to stdout, or to a file that appears when it is complete. Raises InputError."""
    if output is None:
        yield sys.stdout.write
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            yield file.write
        part.rename(output)
    except OSError as error:
        raise InputError(output, error.strerror or str(error), "name a file in a folder that may be written") from error
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that moves a progress bar on stderr: done, total."""
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(name)
        yield lambda done, total: bar.update(task, completed=done, total=total)
