"""The command doctor: what it examines, and how it tells of it."""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from amplifier.cli.target_database import configured
from amplifier.errors import OperatorError
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.cli.doctor.findings import Finding
    from amplifier.cli.doctor.smoke import Smoke

_CLEANING = 5.0  # seconds to delete what was made when the command is interrupted


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    doctor = commands.add_parser(
        "doctor",
        help="find what is wrong with settings and database, or with a running service",
        description="Tries settings, network, database and its limits one after the other, and says what is wrong and "
        "what mends it. With --url it uses a running service as its clients do, and deletes what it made. "
        "The exit status is 1 if a check failed; warnings do not fail.",
    )
    doctor.add_argument("--json", action="store_true", help="findings as one JSON document")
    target = doctor.add_mutually_exclusive_group()
    target.add_argument("--database", metavar="URL", help="the database, instead of the configured one")
    target.add_argument("--url", type=_url, help="examine the service at this address instead of settings and database")
    doctor.add_argument(
        "--api-key-file", metavar="FILE", type=Path, help="with --url: an API key, instead of AMPLIFIER_API_KEY"
    )
    doctor.add_argument(
        "--token-file", metavar="FILE", type=Path, help="with --url: a user's token, instead of AMPLIFIER_TOKEN"
    )
    doctor.set_defaults(run=_doctor, needs_settings=False)


def _url(text: str) -> str:
    from amplifier.cli.doctor.deployment import parsed

    try:
        parsed(text)
    except ValueError:
        raise argparse.ArgumentTypeError("must be of the form https://host:port/path, without credentials") from None
    return text


def _doctor(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.cli.doctor import printing
    from amplifier.cli.doctor.findings import is_ok

    if arguments.url is None and (arguments.api_key_file or arguments.token_file):
        raise OperatorError("--api-key-file and --token-file are for --url")
    findings = asyncio.run(_database(arguments) if arguments.url is None else _service(arguments))
    if arguments.json:
        printing.print_json(findings)
    else:
        printing.print_total(findings)
    if not is_ok(findings):
        sys.exit(1)


async def _database(arguments: argparse.Namespace) -> "list[Finding]":
    """Returns the findings about the settings and the database."""
    from amplifier.cli.doctor import configured as order
    from amplifier.cli.doctor.findings import examine
    from amplifier.cli.doctor.printing import ignore, print_finding
    from amplifier.cli.doctor.target import Target

    target = Target(lambda: configured(arguments))
    try:
        return await examine(order.checks(target), ignore if arguments.json else print_finding)
    finally:
        await target.close()


async def _service(arguments: argparse.Namespace) -> "list[Finding]":
    """Returns the findings about a running service. Raises OperatorError."""
    from amplifier.cli.doctor import served
    from amplifier.cli.doctor.credentials import credentials
    from amplifier.cli.doctor.deployment import Deployment
    from amplifier.cli.doctor.findings import examine
    from amplifier.cli.doctor.printing import ignore, print_finding
    from amplifier.cli.doctor.smoke import Smoke

    given = credentials(configured(arguments), arguments.api_key_file, arguments.token_file)
    deployment = Deployment(arguments.url, given.headers)
    smoke = Smoke(deployment)
    try:
        checks = served.checks(deployment, smoke, given.origin)
        return await examine(checks, ignore if arguments.json else print_finding)
    except asyncio.CancelledError:
        await _clean_up(smoke)
        raise
    finally:
        await deployment.close()


async def _clean_up(smoke: "Smoke") -> None:
    """Deletes what was made before Ctrl-C, and prints what could not be deleted."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLEANING):
            await smoke.clean_up()
    if left := smoke.left():
        print(f"interrupted.{left}", file=sys.stderr)
