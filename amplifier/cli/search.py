"""amplifier-api search reindex: rebuilds the search index after a change of language or of text extraction."""

import argparse

from amplifier.cli.target_database import opened
from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommand."""
    search = commands.add_parser("search", help="manage the search").add_subparsers(required=True, metavar="command")
    reindex = search.add_parser("reindex", help="index again what SEARCH_LANGUAGE or a changed extraction asks for")
    reindex.set_defaults(run=_reindex)


def _reindex(settings: Settings, _: argparse.Namespace) -> None:
    from rich.progress import MofNCompleteColumn, Progress, TaskID

    from amplifier.schema import search_index

    tasks: dict[str, TaskID] = {}
    with opened(settings) as dsn, Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as bar:

        def report(table: str, seen: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task(table)
            bar.update(tasks[table], completed=seen, total=total)

        refreshed = search_index.reindex(dsn, settings.search_language, report)
    print(f"indexed again: {refreshed}")
