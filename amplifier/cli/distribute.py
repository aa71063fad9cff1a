"""amplifier-api distribute: spreads the tables of a database over the nodes of Citus."""

import argparse

from amplifier.cli.target_database import add_option, configured, opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    distribute = commands.add_parser("distribute", help="spread the tables over the nodes of Citus, on its coordinator")
    distribute.add_argument("--dry-run", action="store_true", help="print the statements, and run none")
    add_option(distribute)
    distribute.set_defaults(run=_distribute)


def _distribute(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.schema import distribution, migrate

    with opened(configured(arguments), migrated=False) as dsn:
        if missing := migrate.pending(dsn):
            raise OperatorError(f"the database's schema is behind by {len(missing)}, run: amplifier-api migrate")
        steps = distribution.distribute(dsn, arguments.dry_run)
    for step in steps if arguments.dry_run else ():
        print(f"-- {step.reason}\n{step.statement};")
    if not steps:
        print("all tables are distributed already")
    elif not arguments.dry_run:
        print(f"took {len(steps)} steps in one transaction; start the service after: amplifier-api queries check")
