"""amplifier-api migrate: brings the schema up to date; migrate new and check are for authors of migrations."""

import argparse
import sys
from pathlib import Path

from amplifier.cli.target_database import opened
from amplifier.settings import SERVICE_LOGIN, Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    migrate = commands.add_parser("migrate", help="bring the database's schema up to date; or write a migration")
    migrate.set_defaults(run=_migrate)
    more = migrate.add_subparsers(metavar="command")
    new = more.add_parser("new", help="write the files of another migration, to be filled in")
    new.add_argument("title", metavar='"TABLE ACT"', help='like "sessions add archived_at"')
    new.set_defaults(run=_new)
    check = more.add_parser("check", help="refuse what would hold the service up or cannot be taken back")
    check.add_argument("--seal", action="store_true", help="list new files in applied.sha256: they never change again")
    check.add_argument("--json", action="store_true", help="findings as JSON")
    check.add_argument("--database", metavar="URL", help="a server to try on, instead of an embedded PostgreSQL")
    check.set_defaults(run=_check)
    for parser in (new, check):
        parser.add_argument("--migrations", metavar="DIR", type=Path, help="another folder with migrations")


def _migrate(settings: Settings, _: argparse.Namespace) -> None:
    from amplifier.schema import migrate, search_index

    with opened(settings, migrated=False) as dsn:
        applied = migrate.migrate(dsn)
        search_index.adopt(dsn, settings.search_language)
        _make_login(settings, dsn)
        is_outdated = bool(applied) and search_index.is_outdated(dsn)
    print("\n".join(f"applied {identifier}" for identifier in applied) or "the schema is up to date")
    if is_outdated:
        print("the search of this release finds all older messages after: amplifier-api search reindex")


def _make_login(settings: Settings, dsn: str) -> None:
    """Makes the service's login if its password is known or a principal of Microsoft Entra stands for it.

    Gives it the service's settings if connections go through a pooler.
    """
    from amplifier.schema import service_login

    name = settings.database_service_user
    if settings.database_service_password is not None:
        service_login.ensure(dsn, name, settings.database_service_password.reveal())
    elif settings.database_auth == "entra" and (name != SERVICE_LOGIN or service_login.exists(dsn, name)):
        service_login.ensure(dsn, name, is_principal=True)
    if settings.database_pooler == "transaction" and service_login.exists(dsn, name):
        service_login.settle(dsn, name, settings)


def _new(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier import paths
    from amplifier.schema import check

    for file in check.new(arguments.migrations or paths.folder("migrations"), arguments.title):
        print(file)


def _check(settings: Settings, arguments: argparse.Namespace) -> None:
    import msgspec

    from amplifier import paths
    from amplifier.postgres import scratch
    from amplifier.schema import check, rollbacks

    folder = arguments.migrations or paths.folder("migrations")
    found = check.faults(folder)
    if not found:  # otherwise they may not even apply
        with scratch.server(arguments.database, settings.amplifier_user) as dsn:
            found = list(rollbacks.faults(folder, dsn, check.settled(folder)))
    if arguments.seal and not found:
        for name in check.seal(folder):
            print(f"sealed {name}", file=sys.stderr)
    found += check.unsealed(folder)
    if arguments.json:
        print(msgspec.json.encode({"findings": found}).decode())
    else:
        print("\n".join(map(str, found)) or "all migrations hold")
    if found:
        sys.exit(1)
