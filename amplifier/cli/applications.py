"""amplifier-api applications: creates applications and manages their keys directly in the database.

It needs no API key, so that operators can create the first admin application. The API for these is in `amplifier.api`.
"""

import argparse
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from amplifier.cli.target_database import connected, opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.queries.registry import Queries

_LONGEST = 10 * 366 * 86_400  # seconds; the longest validity of a key


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommands."""
    applications = commands.add_parser("applications", help="manage applications").add_subparsers(
        required=True, metavar="command"
    )

    def parser(name: str, run: Callable[..., Coroutine[Any, Any, str]], help: str) -> argparse.ArgumentParser:
        command = applications.add_parser(name, help=help)
        command.add_argument("app_id", metavar="NAME", help="lower-case letters, digits and hyphens")
        command.set_defaults(run=lambda settings, arguments: _run(settings, run, arguments))
        return command

    create = parser("create", _create, "register an application and print its key, once")
    create.add_argument("--admin", action="store_true", help="it may manage the other applications")
    create.add_argument(
        "--key-manager", metavar="USER", action="append", default=[], help="a user who may replace its keys; repeatable"
    )
    create.add_argument("--act-as", action="store_true", help="its keys act for the users that X-User-ID names")
    update = parser("update", _update, "change whether an application acts for users")
    update.add_argument(
        "--act-as", action=argparse.BooleanOptionalAction, required=True, help="for the users that X-User-ID names"
    )
    managers = parser("key-managers", _set_key_managers, "say which users may replace an application's keys")
    managers.add_argument("user_ids", metavar="USER", nargs="*", help="all of them; without any, nobody may")
    parser("keys", _list_keys, "list an application's keys")
    add_key = parser("add-key", _add_key, "give an application another key and print it, once")
    add_key.add_argument("--name", required=True, help="what it is for; an application has one of a name")
    add_key.add_argument("--expires-in", metavar="SECONDS", type=_seconds, help="when it stops; never unless given")
    parser("regenerate-key", _regenerate_key, "replace an application's default key and print the new one, once")
    remove_key = parser("remove-key", _remove_key, "remove a key, which stops at once")
    remove_key.add_argument("key_id", metavar="KEY", help="its id, as `keys` lists it")


def _run(settings: Settings, run: Callable[..., Coroutine[Any, Any, str]], arguments: argparse.Namespace) -> None:
    import asyncio

    with opened(settings) as dsn:
        print(asyncio.run(_connected(settings, dsn, run, arguments)))


async def _connected(
    settings: Settings, dsn: str, run: Callable[..., Coroutine[Any, Any, str]], arguments: argparse.Namespace
) -> str:
    import asyncpg

    from amplifier.web.problems import describe

    async with connected(settings, dsn) as queries:
        try:
            return await run(queries, arguments)
        except asyncpg.PostgresError as error:
            problem = describe(error)
            raise OperatorError(problem.detail if problem.status < 500 else str(error)) from None


async def _create(queries: "Queries", arguments: argparse.Namespace) -> str:
    from amplifier.web.authentication import generate_key

    key, app_id = generate_key(), arguments.app_id
    managers = _user_ids(arguments.key_manager)
    details = {"is_admin": arguments.admin, "key_managers": managers, "act_as": arguments.act_as}
    async with _audited(queries, "create_application", app_id, **details):
        await queries.applications.create(
            app_id=app_id,
            app_name=app_id,
            api_key_hash=key.hash,
            api_key_prefix=key.prefix,
            is_admin=arguments.admin,
            settings=b"{}",
            key_managers=managers,
            act_as=arguments.act_as,
        )
    return key.text


async def _set_key_managers(queries: "Queries", arguments: argparse.Namespace) -> str:
    managers = _user_ids(arguments.user_ids)
    await _changed(queries, arguments, key_managers=managers)
    return f"{arguments.app_id}: {', '.join(managers) or 'only admin applications'}"


async def _update(queries: "Queries", arguments: argparse.Namespace) -> str:
    await _changed(queries, arguments, act_as=arguments.act_as)
    return f"{arguments.app_id} {'acts' if arguments.act_as else 'does not act'} for users"


async def _changed(
    queries: "Queries",
    arguments: argparse.Namespace,
    key_managers: list[str] | None = None,
    act_as: bool | None = None,
) -> None:
    import msgspec

    app_id = arguments.app_id
    async with _audited(queries, "update_application", app_id) as details:
        row = await queries.applications.update(
            app_id=app_id, app_name=None, is_active=None, settings=None, key_managers=key_managers, act_as=act_as
        )
        if row is None:
            raise _unknown(arguments)
        details["changed"] = msgspec.json.decode(row["changes"])


async def _list_keys(queries: "Queries", arguments: argparse.Namespace) -> str:
    rows = await queries.application_keys.list(
        **_of(arguments), after_created_at=datetime.max.replace(tzinfo=UTC), after_key_id="", limit=1000
    )
    if not rows:  # every application has a default key
        raise _unknown(arguments)
    line = "{:<22}{:<22}{:<22}{:<22}{}".format
    lines = [
        line(
            row["key_id"],
            _shown(row["created_at"]),
            _shown(row["expires_at"]),
            _shown(row["last_used_at"]),
            row["name"],
        )
        for row in rows
    ]
    return "\n".join([line("key", "created (UTC)", "expires", "last used", "name"), *lines])


async def _add_key(queries: "Queries", arguments: argparse.Namespace) -> str:
    from amplifier.api.application_keys import MOST_KEYS
    from amplifier.web.authentication import generate_key

    key = generate_key()
    details = {"key_id": key.prefix, "name": arguments.name}
    async with _audited(queries, "create_application_key", arguments.app_id, **details):
        if not await queries.applications.lock(**_of(arguments)):
            raise _unknown(arguments)
        row = await queries.application_keys.create(
            app_id=arguments.app_id,
            key_id=key.prefix,
            name=arguments.name,
            api_key_hash=key.hash,
            expires_in=arguments.expires_in,
            most=MOST_KEYS,
        )
        if row is None:
            raise OperatorError(f"{arguments.app_id} has {MOST_KEYS} keys: remove one first")
    return key.text


async def _regenerate_key(queries: "Queries", arguments: argparse.Namespace) -> str:
    from amplifier.web.authentication import generate_key

    key = generate_key()
    async with _audited(queries, "regenerate_key", arguments.app_id):
        row = await queries.applications.update_key(**_of(arguments), api_key_hash=key.hash, api_key_prefix=key.prefix)
        if row is None:
            raise _unknown(arguments)
    return key.text


async def _remove_key(queries: "Queries", arguments: argparse.Namespace) -> str:
    async with _audited(queries, "delete_application_key", arguments.app_id, key_id=arguments.key_id):
        if not await queries.application_keys.delete(**_of(arguments), key_id=arguments.key_id):
            raise OperatorError(
                f"{arguments.app_id} has no key {arguments.key_id} that can be removed: `applications keys` lists "
                "them; the default one can only be replaced (regenerate-key)"
            )
    return f"removed {arguments.key_id}"


@contextlib.asynccontextmanager
async def _audited(queries: "Queries", action: str, app_id: str, **details: object) -> AsyncIterator[dict[str, object]]:
    """Runs the context in a transaction and adds its entry to the audit log at the end, unless nothing `changed`.

    Yields the details of the entry.
    """
    import getpass

    import msgspec

    async with queries.database.transaction():
        yield details
        if details.get("changed") == {}:
            return
        await queries.audit.add(
            actor_id=getpass.getuser(),
            actor_app_id="command line",
            action=action,
            target_type="application",
            target_id=app_id,
            details=msgspec.json.encode(details),
            address=None,
            request_id=None,
        )


def _of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns the arguments that name the application, with the rights of an admin application."""
    return {"actor_id": "", "app_id": arguments.app_id, "reader_app_id": arguments.app_id, "is_admin": True}


def _user_ids(given: list[str]) -> list[str]:
    """Returns the user ids. Raises OperatorError if one of them is not valid."""
    if any(not 1 <= len(user_id) <= 255 for user_id in given):
        raise OperatorError("a user id has 1 to 255 characters")
    return given


def _shown(moment: "datetime | None") -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else "never"


def _seconds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _LONGEST:
        raise argparse.ArgumentTypeError(f"a whole number of seconds from 1 to {_LONGEST}")
    return int(text)


def _unknown(arguments: argparse.Namespace) -> OperatorError:
    return OperatorError(f"there is no application {arguments.app_id}")
