"""amplifier-api applications create: the first application, which manages the others."""

import argparse

from amplifier.commands.databases import connected, opened
from amplifier.settings import OperatorError, Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command's parser."""
    applications = commands.add_parser("applications", help="manage applications").add_subparsers(
        required=True, metavar="command"
    )
    create = applications.add_parser("create", help="register an application and print its key, once")
    create.add_argument("app_id", metavar="NAME", help="lower-case letters, digits and hyphens")
    create.add_argument("--admin", action="store_true", help="it may manage the other applications")
    create.set_defaults(run=_create)


def _create(config: Settings, arguments: argparse.Namespace) -> None:
    import asyncio

    with opened(config) as dsn:
        print(asyncio.run(_insert(config, dsn, arguments.app_id, arguments.admin)))


async def _insert(config: Settings, dsn: str, app_id: str, is_admin: bool) -> str:
    """The new application's key."""
    import asyncpg

    from amplifier.auth import generate_key
    from amplifier.problems import describe

    key = generate_key()
    async with connected(config, dsn) as queries:
        try:
            await queries.applications.create(
                app_id=app_id,
                app_name=app_id,
                api_key_hash=key.hash,
                api_key_prefix=key.prefix,
                is_admin=is_admin,
                settings=b"{}",
            )
        except asyncpg.PostgresError as error:
            problem = describe(error)
            raise OperatorError(problem.detail if problem.status < 500 else str(error)) from None
    return key.text
