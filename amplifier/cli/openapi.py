"""amplifier-api openapi: writes the OpenAPI document, or checks the committed one."""

import argparse
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec

from amplifier import paths
from amplifier.errors import InputError, OperatorError
from amplifier.settings import Settings


class _Info(msgspec.Struct):
    version: Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+)*(-.*)?$")]


class _Document(msgspec.Struct):
    """The members that a document must have to be compared."""

    info: _Info
    paths: dict[str, dict[str, Any]]


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command."""
    openapi = commands.add_parser("openapi", help="write openapi/openapi.json, after a change of the API")
    openapi.add_argument("--check", action="store_true", help="only say whether it is up to date")
    openapi.add_argument("--against", metavar="FILE", type=Path, help="what would break clients of an earlier document")
    openapi.set_defaults(run=_openapi)


def _openapi(_: Settings, arguments: argparse.Namespace) -> None:
    from amplifier.openapi import document

    if arguments.against:
        _compare(document.file(), arguments.against)
        return
    try:
        text, file = document.text(), document.file()
    except FileNotFoundError as error:
        raise OperatorError(f"the document is written in a checkout: {error}") from error
    except ValueError as error:  # a handler that says too little
        raise OperatorError(str(error)) from error
    if not arguments.check:
        paths.write(file, text)
        print(file)
        return
    if not file.exists() or file.read_text() != text:
        print(f"{file} is not what the code says (run: amplifier-api openapi)")
        sys.exit(1)
    print("the OpenAPI document is up to date")


def _compare(file: Path, earlier: Path) -> None:
    """Prints the changes in the committed document that break clients of an earlier one.

    Raises InputError, and OperatorError if there are any and the version does not allow them.
    """
    from amplifier.openapi.breaking_changes import breaking

    old, new = _read(earlier), _read(file)
    found = breaking(old, new)
    versions = old["info"]["version"], new["info"]["version"]
    print("\n".join(found) or f"nothing breaks clients of {versions[0]}")
    if found and not may_break(*versions):
        raise OperatorError(f"version {versions[1]} must not break clients of {versions[0]}: {len(found)} findings")


def _read(file: Path) -> Any:
    """Returns the OpenAPI document in a file. Raises InputError."""
    text = paths.text_of(file)
    try:
        msgspec.json.decode(text, type=_Document)
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InputError(file, f"is no OpenAPI document: {error}") from error


def may_break(old: str, new: str) -> bool:
    """Returns whether the version `new` may break clients of the version `old`, by semantic versioning.

    The first number must be higher; before 1.0 the second number suffices.
    """
    before, now = ([int(part) for part in version.split("-")[0].split(".")] for version in (old, new))
    return now[:1] > before[:1] or (now[:1] == before[:1] == [0] and now[:2] > before[:2])
