"""The console script `amplifier-api`.

Each command is in a module of this package, which adds its parser. Commands import most modules when they run, so that
a first start imports while PostgreSQL creates its files.
"""

import argparse
import logging
import os
import signal
import sys

from amplifier import __version__
from amplifier.cli import (
    applications,
    configs,
    distribute,
    export_sessions,
    import_sessions,
    mcp,
    migrate,
    openapi,
    prepare,
    psql,
    queries,
    retention,
    search,
    serve,
    users,
)
from amplifier.cli.doctor import command as doctor
from amplifier.errors import OperatorError
from amplifier.setting_sources import load
from amplifier.settings import Settings
from amplifier.telemetry import logs

logger = logging.getLogger(__name__)

_BROKEN_PIPE = 128 + signal.SIGPIPE  # the status of other programs, which this signal ends


def main() -> None:
    """Runs a command, and exits when its output is written.

    The status is 2 for wrong arguments and for files and folders that cannot be used, 1 for other errors, and 141 if
    the program that reads the output has ended.
    """
    try:
        _run()
        status: object = 0
    except SystemExit as ended:
        status = ended.code
    except BrokenPipeError:
        status = _BROKEN_PIPE
    sys.exit(_flush() or status)  # type: ignore[arg-type]


def _run() -> None:
    """Runs a command. An OperatorError becomes a message on stderr and an exit status."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = load() if arguments.needs_settings else Settings()
        logs.configure(settings.log_format, settings.log_level)
        arguments.run(settings, arguments)
    except KeyboardInterrupt:
        sys.exit(0)
    except OperatorError as error:
        _complain(error)
        sys.exit(error.status)


def _complain(error: OperatorError) -> None:
    """Writes the message for people, or as a line of the log if that has JSON. The settings may be what is wrong."""
    if logs.has_json() is None and os.environ.get("LOG_FORMAT") == "json":
        logs.configure("json", "info")
    if logs.has_json():
        logger.critical("%s", error)
    else:
        print(f"amplifier-api: {error}", file=sys.stderr)


def _flush() -> int:
    """Writes buffered output. Returns the exit status if stdout cannot be written, else 0.

    What cannot be written goes to /dev/null: Python would try again at its end, print a traceback and exit with 120.
    """
    status = 0
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout and isinstance(error, BrokenPipeError):
                status = _BROKEN_PIPE
            elif stream is sys.stdout:
                status = OperatorError.status
                print(f"amplifier-api: the output cannot be written: {error.strerror}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("amplifier-api", description="The session backend for AI agents, on PostgreSQL.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.set_defaults(needs_settings=True)
    commands = parser.add_subparsers(required=True, metavar="command")
    for module in (
        serve,
        migrate,
        distribute,
        queries,
        applications,
        configs,
        users,
        search,
        export_sessions,
        import_sessions,
        retention,
        psql,
        doctor,
        mcp,
        openapi,
        prepare,
    ):
        module.add(commands)
    return parser


def _stop(*_: object) -> None:
    """Exits on SIGTERM by an exception, so that every context is left and the embedded database stops."""
    sys.exit(0)
