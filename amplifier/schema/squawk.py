"""Runs the linter squawk, which finds statements that lock or rewrite tables, or break clients of the schema."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from amplifier.errors import OperatorError
from amplifier.schema.scripts import Fault, Script

# rules of squawk that do not apply here, and the reasons
_EXCLUDED = {
    "prefer-robust-stmts": "a migration is one transaction; what is none has a rule of ours",
    "ban-concurrent-index-creation-in-transaction": "a rule of ours says more",
    "require-statement-timeout": "the lock's limit ends what makes others wait",
    "prefer-bigint-over-int": "counters of people and messages in one session",
    "prefer-text-field": "the names of applications and configs have a length that clients rely on",
    "require-lock-timeout": "a rule of ours says which, and where",
}


class SquawkError(OperatorError):
    """Raised when the linter is missing or fails. The message says what to do."""


class _Found(msgspec.Struct):
    """A finding of squawk. `line` counts from 0."""

    file: str
    line: int
    rule_name: str
    message: str
    help: str | None = None


def faults(scripts: Sequence[Script]) -> Iterator[Fault]:
    """Yields the faults that squawk finds in the files. Raises SquawkError."""
    by_path = {str(script.path): script for script in scripts}
    for transactional in (True, False):
        paths = [path for path, script in by_path.items() if script.is_transactional == transactional]
        for found in _run(paths, transactional) if paths else ():
            fault = Fault(found.file, found.line + 1, found.rule_name, found.message, found.help or "")
            # rollbacks drop things on purpose
            if not (by_path[found.file].is_rollback and fault.rule.startswith("ban-drop-")):
                yield fault


def _run(paths: Sequence[str], transactional: bool) -> list[_Found]:
    program = Path(sys.executable).with_name("squawk")
    command = str(program) if program.exists() else shutil.which("squawk")
    if command is None:
        raise SquawkError("the linter is missing, run: pip install squawk-cli")
    # ignores settings files in the current folder
    options = ["--config=/dev/null", "--reporter=json", "--pg-version=15.0", f"--exclude={','.join(_EXCLUDED)}"]
    options += ["--assume-in-transaction"] * transactional
    done = subprocess.run([command, *options, *paths], capture_output=True, text=True, timeout=60)  # noqa: S603
    try:
        return msgspec.json.decode(done.stdout, type=list[_Found])
    except msgspec.MsgspecError:
        raise SquawkError(f"squawk failed: {done.stderr.strip() or done.stdout.strip()}") from None
