"""Writes `openapi/errors.json` from the problem documents that a run of the tests recorded, or compares it with them.

ERROR_EXAMPLES=build/errors .venv/bin/pytest tests/api tests/web
.venv/bin/python -m tests.openapi.error_examples build/errors
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from amplifier import paths
from amplifier.openapi import document
from amplifier.openapi.problems import Errors
from amplifier.web.problems import NO_ROUTE
from tests.support.problem_recorder import Recorded, recorded

MOST = 3  # examples of an operation and status
_RACED = ("409", "503")  # statuses that depend on what other requests do at the same time
Place = tuple[str, str]  # an operation and a status


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.openapi.error_examples", description=__doc__)
    parser.add_argument("folder", type=Path, help="what ERROR_EXAMPLES named when the tests ran")
    parser.add_argument("--check", action="store_true", help="only compare the file with the folder and the document")
    given = parser.parse_args(arguments)
    produced, file = recorded(given.folder), paths.folder("openapi") / document.ERRORS
    wanted = places(document.document(document.examples(), {}))
    errors: Errors = json.loads(file.read_text()) if file.exists() else {}
    if given.check:
        found = [*unproduced(errors, produced), *missing(errors, wanted)]
        print("\n".join(found) or f"{file}: every error of every operation has an example that the tests produced")
        return 1 if found else 0
    errors = chosen(errors, produced, wanted)
    file.write_text(json.dumps(errors, indent=2, ensure_ascii=False) + "\n")
    print("\n".join([str(file), *missing(errors, wanted)]))
    return 0


def places(shown: dict[str, Any]) -> list[Place]:
    """Returns each operation of the document with each of its errors."""
    operations = (operation for item in shown["paths"].values() for operation in item.values())
    return sorted(
        (operation["operationId"], status)
        for operation in operations
        for status in operation["responses"]
        if status >= "400"
    )


def chosen(errors: Errors, produced: Iterable[Recorded], wanted: Iterable[Place]) -> Errors:
    """Returns the examples for each place: those of `errors` that were produced again, then the shortest others."""
    candidates: dict[Place, list[str]] = {}
    for one in produced:
        candidates.setdefault((one.operation, str(one.status)), []).append(one.example)
    result: Errors = {}
    for operation, status in wanted:
        present = candidates.get((operation, status), [])
        present = [one for one in present if NO_ROUTE not in one] or present  # that is about a path like /settings/..
        again = {_comparable(example) for example in present}
        kept = [one for one in _texts(errors, (operation, status)) if _comparable(one) in again]
        if examples := list(_distinct([*kept, *sorted(present, key=_unsuitability)]))[:MOST]:
            result.setdefault(operation, {})[status] = [json.loads(one) for one in examples]
    return result


def unproduced(errors: Errors, produced: Iterable[Recorded]) -> list[str]:
    """Returns a line for each example that the tests did not produce: for its operation, or for any if a race decides.

    Which of several concurrent requests finds no connection, or a changed session, differs from run to run.
    """
    known = {(one.operation, str(one.status), _comparable(one.example)) for one in produced}
    raced = {(status, example) for _, status, example in known if status in _RACED}
    return [
        f"{operation} {status}: no test produced {example}"
        for operation, statuses in errors.items()
        for status in statuses
        for example in _texts(errors, (operation, status))
        if (operation, status, _comparable(example)) not in known and (status, _comparable(example)) not in raced
    ]


def missing(errors: Errors, wanted: Iterable[Place]) -> list[str]:
    """Returns a line for each error of an operation that has no example."""
    return [
        f"{operation} {status}: has no example"
        for operation, status in wanted
        if not _texts(errors, (operation, status))
    ]


def _texts(errors: Errors, place: Place) -> list[str]:
    operation, status = place
    examples = errors.get(operation, {}).get(status, [])
    return [json.dumps(example, sort_keys=True, ensure_ascii=False) for example in examples]


def _distinct(examples: Iterable[str]) -> Iterator[str]:
    """Yields the first example of each kind: those of one kind differ in quoted values, numbers and ids."""
    kinds = set()
    for example in examples:
        kind = re.sub(r"`[^`]*`|'[^']*'|\d+|(?<=^tags\.)\w*|(?<=not found: )[\s\S]*", "", json.loads(example)["detail"])
        if kind not in kinds:
            kinds.add(kind)
            yield example


def _unsuitability(example: str) -> tuple[bool, bool, bool, int, str]:
    """Returns the order of examples: those that name a member, plain text, and short ones come first."""
    members = json.loads(example)
    is_named = any(error["field"] for error in members.get("errors", ()))
    is_odd = re.search(r"not found: (?!\w{8}-)", members["detail"]) is not None  # an id that the service never makes
    return not is_named, not re.fullmatch(r"[ -~]*", members["detail"]), is_odd, len(example), example


def _comparable(example: str) -> str:
    """Returns the example without numbers, which depend on the order of events in some tests."""
    return re.sub(r"\d+", "0", example)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
