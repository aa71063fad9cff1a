"""amplifier-api import: brings sessions of other tools into the database, from their files on this machine."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from amplifier.cli.target_database import opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.imports.importer import Importer
    from amplifier.imports.items import Source
    from amplifier.imports.report import Report

_SHOWN = 20  # remarks of a kind


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "import",
        help="bring sessions of other tools into the database",
        description="Reads what agents and chats keep or export. A second run adds what is new.",
    )
    parser.add_argument(
        "paths", metavar="PATH", nargs="*", type=Path, help="files and folders; by default where the tools keep theirs"
    )
    parser.add_argument("--user", metavar="ID", help="the owner of the sessions: the `sub` of the user's tokens")
    parser.add_argument("--format", default="auto", help="a format of the documentation; by default as each file is")
    parser.add_argument("--config", metavar="NAME", help="a config of the owner's, by name or id, to continue with")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, show what would be imported")
    parser.add_argument("--redact", action="store_true", help="replace keys before anything is stored")
    parser.add_argument("--watch", action="store_true", help="go on, and import what the tools write")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(run=_run)


def _run(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.imports import formats
    from amplifier.imports.report import Report

    if arguments.format not in (formats.AUTO, *formats.READERS):
        raise OperatorError(f"--format {arguments.format}: choose from {', '.join((formats.AUTO, *formats.READERS))}")
    paths = [path.absolute() for path in arguments.paths] or formats.places()
    user_id = _owner(settings, arguments.user)
    report, began = Report(), time.time()
    sources = list(formats.found(paths, arguments.format, report.file, report.skip))
    _show(paths, sources, report)
    if not sources and not arguments.watch:
        _finish(report)
        return
    if not arguments.paths and not arguments.yes and not arguments.dry_run:
        _ask(user_id)
    _import(settings, arguments, paths, user_id, sources, report, began)


def _owner(settings: Settings, given: str | None) -> str:
    from amplifier.web.authentication import DEV_CALLER

    if given is not None:
        if not 1 <= len(given) <= 255 or not given.isprintable():
            raise OperatorError("--user: give the `sub` of the user's tokens, 1 to 255 characters")
        return given
    if settings.auth_required:
        raise OperatorError("say whose sessions these are: add --user ID, the `sub` of the user's tokens")
    return DEV_CALLER.user_id


def _show(paths: list[Path], sources: "list[Source]", report: "Report") -> None:
    """Prints what was found."""
    from collections import Counter

    if not paths:
        print("no folder of a tool that is known was found: name files or folders")
    counts, sizes = Counter(source.tool for source in sources), Counter[str]()
    for source in sources:
        sizes[source.tool] += source.size
    for tool, count in sorted(counts.items()):
        print(f"found {count} {_plural('file', count)} of {tool}, {sizes[tool] / 1e6:.1f} MB")
    if report.unknown:
        print(f"left out {report.unknown} {_plural('file', report.unknown)} of other formats")


def _ask(user_id: str) -> None:
    if not sys.stdin.isatty():
        raise OperatorError("nothing was imported: add --yes to import what was found")
    if input(f"import for {user_id}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise OperatorError("nothing was imported")


def _import(
    settings: Settings,
    arguments: argparse.Namespace,
    paths: list[Path],
    user_id: str,
    sources: "list[Source]",
    report: "Report",
    began: float,
) -> None:
    from amplifier.imports.importer import Importer
    from amplifier.imports.redaction import Redaction
    from amplifier.imports.store import Store, connected

    redaction = Redaction(arguments.redact)
    with opened(settings) as dsn, connected(dsn) as connection:
        store = Store(connection, user_id, arguments.config)
        importer = Importer(store, report, redaction, dry_run=arguments.dry_run)
        _all(importer, sources)
        if report.changed and not arguments.dry_run:
            store.note({name: report.total(name) for name in ("new", "grown", "forked", "messages")})
        _summary(report, arguments.dry_run)
        if warning := redaction.warning():
            print(warning, file=sys.stderr)
        if arguments.watch and not arguments.dry_run:
            _watch(importer, paths, arguments.format, began)
    _finish(report)


def _all(importer: "Importer", sources: "list[Source]") -> None:
    """Imports sources with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as bar, importer.alone():
        task = bar.add_task("importing", total=sum(source.size for source in sources))
        for source in sources:
            importer.take(source, lambda size: bar.advance(task, size))
        importer.finish()


def _watch(importer: "Importer", paths: list[Path], format: str, began: float) -> None:
    from amplifier.imports import watch

    print("watching: stop with Ctrl-C", flush=True)
    watch.follow(importer, paths, format, began, lambda line: print(line, flush=True))


def _summary(report: "Report", dry_run: bool) -> None:
    """Prints a table of the counts by tool, and what could not be imported."""
    from rich.console import Console
    from rich.table import Table

    if not report.changed:
        print("nothing new")
    else:
        table = Table("tool", *_COLUMNS.values())
        for tool, counts in sorted(report.counts.items()):
            table.add_row(tool, *(f"{counts[name]:,}" for name in _COLUMNS))
        Console(width=110).print(table)
        if dry_run:
            print("Nothing was changed. To import, leave --dry-run out")


_COLUMNS = {
    "files": "files",
    "new": "new sessions",
    "grown": "continued",
    "forked": "forks",
    "same": "unchanged",
    "messages": "messages",
}


def _finish(report: "Report") -> None:
    """Prints remarks on stderr, and exits with 1 if something of the files is not in the transcripts."""
    for is_loss, count in ((False, report.notes), (True, report.losses)):
        remarks = [remark for remark in report.remarks if remark.is_loss == is_loss]
        for remark in remarks[:_SHOWN]:
            print(remark, file=sys.stderr)
        if count > _SHOWN:
            print(f"and {count - _SHOWN} more of this kind", file=sys.stderr)
    if report.losses:
        raise OperatorError(
            f"{report.losses} {_plural('line or file', report.losses)} did not become what "
            f"{'it' if report.losses == 1 else 'they'} should: see above"
        )


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else " or ".join(f"{word}s" for word in noun.split(" or "))
