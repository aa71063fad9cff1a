"""The console script: amplifier-api serve | migrate | queries | applications | search | openapi.

Each command is in a module of this package, which adds its parser. Commands import most modules when they run, so that
a first start imports while PostgreSQL creates its files.
"""

import argparse
import logging
import signal
import sys

from amplifier import __version__
from amplifier.cli import applications, migrate, openapi, queries, search, serve
from amplifier.errors import OperatorError
from amplifier.settings import load

_FORMAT = "%(levelname)s %(name)s: %(message)s"


def main() -> None:
    """Runs a command. An OperatorError becomes a message on stderr and exit status 1."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = load()
        _log(settings.log_level.upper())
        arguments.run(settings, arguments)
    except KeyboardInterrupt:
        sys.exit(0)
    except OperatorError as error:
        sys.exit(f"amplifier-api: {error}")


def _log(level: str) -> None:
    """Sets the level of the service's own loggers. Libraries log warnings and errors only.

    At lower levels libraries log headers, statements and prompts.
    """
    logging.basicConfig(level=max(logging.WARNING, logging.getLevelName(level)), format=_FORMAT)
    logging.getLogger("amplifier").setLevel(level)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("amplifier-api", description="The session backend for AI agents, on PostgreSQL.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in (serve, migrate, queries, applications, search, openapi):
        module.add(commands)
    return parser


def _stop(*_: object) -> None:
    """Exits on SIGTERM by an exception, so that every context is left and the embedded database stops."""
    sys.exit(0)
