"""amplifier-api migrate: brings the database's schema up to date."""

import argparse

from amplifier.commands.databases import opened
from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command's parser."""
    migrate = commands.add_parser("migrate", help="bring the database's schema up to date")
    migrate.set_defaults(run=_migrate)


def _migrate(config: Settings, _: argparse.Namespace) -> None:
    from amplifier import reindex, schema

    with opened(config, migrated=False) as dsn:
        applied = schema.migrate(dsn)
        reindex.adopt(dsn, config.search_language)
    print("\n".join(f"applied {identifier}" for identifier in applied) or "the schema is up to date")
