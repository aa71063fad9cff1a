"""amplifier-api search reindex | embeddings: the indexes of the search by words and of the search by meaning."""

import argparse

from amplifier.cli.target_database import opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    search = commands.add_parser("search", help="manage the search").add_subparsers(required=True, metavar="command")
    reindex = search.add_parser("reindex", help="index again what SEARCH_LANGUAGE or a changed extraction asks for")
    reindex.set_defaults(run=_reindex)
    embeddings = search.add_parser("embeddings", help="prepare the database for the search by meaning")
    choice = embeddings.add_mutually_exclusive_group()
    choice.add_argument("--status", action="store_true", help="only say how many messages have an embedding")
    choice.add_argument("--disable", action="store_true", help="remove all embeddings")
    embeddings.set_defaults(run=_embeddings)


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


def _embeddings(settings: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.schema import embeddings

    if arguments.disable:
        with opened(settings) as dsn:
            embeddings.disable(dsn)
        print("removed all embeddings")
    elif arguments.status:
        with opened(settings) as dsn:
            state = embeddings.state(dsn)
        if state is None:
            print("the search by meaning is off")
        else:
            model, is_indexed, embedded, waiting = state
            kept = "with pgvector" if is_indexed else "without pgvector"
            print(f"{model} {kept}: {embedded} messages embedded, {waiting} waiting")
    else:
        _enable(settings)


def _enable(settings: Settings) -> None:
    from rich.progress import MofNCompleteColumn, Progress

    from amplifier.schema import embeddings

    dimensions = _dimensions(settings)
    with opened(settings) as dsn, Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as bar:
        task = bar.add_task("messages")
        is_indexed, added = embeddings.enable(
            dsn,
            settings.search_embeddings or "",
            dimensions,
            lambda seen, total: bar.update(task, completed=seen, total=total),
        )
    print(f"{settings.search_embeddings} with {dimensions} dimensions: {added} more messages wait to be embedded")
    if not is_indexed:
        print("the server has no pgvector 0.8 or newer: of each search, the newest messages are compared one by one")


def _dimensions(settings: Settings) -> int:
    """Returns the length of the model's vectors. Raises OperatorError if there is no model, or it does not work."""
    import asyncio

    from amplifier.embeddings.indexing import TRIAL
    from amplifier.embeddings.models import EmbeddingError, configured

    model = configured(settings)
    if model is None:
        raise OperatorError("SEARCH_EMBEDDINGS must name a model, for example openai:text-embedding-3-small")

    async def ask() -> int:
        try:
            return len((await model.embed([TRIAL])).vectors[0])
        finally:
            await model.close()

    try:
        return asyncio.run(ask())
    except EmbeddingError as error:
        raise OperatorError(f"{settings.search_embeddings} does not work: {error}") from error
