"""amplifier-api openapi: writes the OpenAPI document, or says what is wrong with the committed one."""

import argparse
import sys

from amplifier.settings import Settings


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The command's parser."""
    openapi = commands.add_parser("openapi", help="write openapi/openapi.json, after a change of the API")
    openapi.add_argument("--check", action="store_true", help="only say whether it is up to date")
    openapi.set_defaults(run=_openapi)


def _openapi(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier import openapi

    text, file = openapi.text(), openapi.file()
    if not arguments.check:
        file.write_text(text)
        print(file)
        return
    if not file.exists() or file.read_text() != text:
        print(f"{file} is not what the code says (run: amplifier-api openapi)")
        sys.exit(1)
    print("the OpenAPI document is up to date")
