"""Creates the files of migrations, checks them, and seals them in `applied.sha256`.

The checks here read files only; `amplifier.schema.rollbacks` tries migrations on a database.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from amplifier import paths
from amplifier.errors import InputError, OperatorError
from amplifier.schema import rules, squawk
from amplifier.schema.rules import LOCK_LIMIT, TO_FILL_IN
from amplifier.schema.scripts import Fault, Script

SUMS = "applied.sha256"  # in the format of sha256sum
_TITLE = re.compile(r"[a-z][a-z0-9_]*( [a-z][a-z0-9_]*)+")
_SKELETON = f"""{{depends}}-- {TO_FILL_IN}: what changes, for whom, and why.
{LOCK_LIMIT}

-- {TO_FILL_IN}: the statements, with a comment on each new table, column, view and function.
"""
_ROLLBACK = f"""-- {TO_FILL_IN}: what is lost, or take this line out.
{LOCK_LIMIT}

-- {TO_FILL_IN}: what takes the other file back, in the reverse order.
"""


class MigrationsError(OperatorError):
    """Raised when a migration cannot be created or checked. The message says why."""


def new(folder: Path, title: str) -> list[Path]:
    """Writes the skeletons of the next migration and its rollback, and returns their paths.

    `title` is "<table> <act>". Raises MigrationsError.
    """
    if not _TITLE.fullmatch(title):
        raise MigrationsError(f'{title!r} is not "<table> <act>" in lower case, like "sessions add archived_at"')
    files = [] if _is_empty(folder) else _files(folder)
    if files and not re.match(r"\d{4}-", files[-1].name):
        raise MigrationsError(f"{files[-1]}: has no number, so there is no next one")
    number = int(files[-1].name[:4]) + 1 if files else 1
    table, _, act = title.partition(" ")
    file = folder / f"{number:04}-{table}-{act.replace(' ', '_')}.sql"
    depends = f"-- depends: {files[-1].stem}\n" if files else ""
    texts = {file: _SKELETON.format(depends=depends), _rollback_of(file): _ROLLBACK}
    if there := [str(path) for path in texts if path.exists()]:
        raise MigrationsError(f"{there[0]}: exists")
    try:
        for path, text in texts.items():
            with path.open("x") as stream:
                stream.write(text)
    except OSError as error:
        raise MigrationsError(f"the files cannot be written: {error}") from error
    return list(texts)


def faults(folder: Path) -> list[Fault]:
    """Returns the faults in the files of a folder, sorted by file and line, without running them.

    Raises InputError if there are none or one cannot be read, MigrationsError, and SquawkError if the linter does not
    work.
    """
    files, sums = _files(folder), _sums(folder)
    found = list(_edited(folder, sums))
    scripts, before = [], None
    for file in files:
        script = Script(file)
        pair = [script]
        if _rollback_of(file).exists():
            pair.append(Script(_rollback_of(file)))
        scripts += pair
        found += _faults(pair, before)
        before = script
    found += squawk.faults(scripts)
    by_path = {str(script.path): script for script in scripts}
    found = [fault for fault in found if fault.file not in by_path or not by_path[fault.file].allows(fault)]
    return sorted([*found, *_strays(folder)], key=lambda fault: (fault.file, fault.line))


def seal(folder: Path) -> list[str]:
    """Adds the files that are not sealed yet to `applied.sha256`, and returns their names.

    Raises MigrationsError.
    """
    known = _sums(folder)
    added = {file.name: _sum(file) for file in _all(folder) if file.name not in known}
    try:
        with (folder / SUMS).open("a") as stream:
            stream.writelines(f"{digest}  {name}\n" for name, digest in added.items())
    except OSError as error:
        raise MigrationsError(f"the list cannot be written: {error}") from error
    return list(added)


def settled(folder: Path) -> set[str]:
    """Returns the ids of the migrations that are sealed together with their rollbacks."""
    known = _sums(folder)
    return {file.stem for file in _files(folder) if {file.name, _rollback_of(file).name} <= known.keys()}


def unsealed(folder: Path) -> Iterator[Fault]:
    """Yields a fault for each file that is not sealed."""
    known = _sums(folder)
    for file in _all(folder):
        if file.name not in known:
            remedy = "when it is final, run: amplifier-api migrate check --seal"
            yield Fault(str(file), 1, "unsealed", f"is not in {SUMS}", remedy)


def _faults(pair: list[Script], before: Script | None) -> Iterator[Fault]:
    """Yields the faults of a migration and its rollback."""
    for script in pair:
        yield from rules.faults(script, before)
    if len(pair) == 1:
        yield pair[0].fault("rollback", "has no rollback", f"write {_rollback_of(pair[0].path).name}")
    elif pair[0].is_transactional != pair[1].is_transactional:
        problem = "is in a transaction and the migration is not, or the other way round"
        yield pair[1].fault("rollback", problem, "-- transactional: false in both or none")


def _strays(folder: Path) -> Iterator[Fault]:
    """Yields a fault for each Python file, which yoyo would run, and for each rollback without a migration."""
    forward = {file.name for file in _files(folder)}
    for file in sorted(folder.iterdir()):
        if file.suffix == ".py":
            yield Fault(str(file), 1, "name", "is no SQL, and yoyo would run it", "write it in SQL")
        elif file.name.endswith(".rollback.sql") and file.name.replace(".rollback.sql", ".sql") not in forward:
            yield Fault(
                str(file), 1, "rollback", "takes back what is not there", "remove it, or name it like its migration"
            )


def _edited(folder: Path, sums: dict[str, str]) -> Iterator[Fault]:
    """Yields a fault for each sealed file that was changed or removed."""
    for name, known in sums.items():
        file = folder / name
        if not file.exists() or _sum(file) != known:
            problem = "was edited, renamed or removed: an applied file never changes"
            yield Fault(str(file), 1, "edited", problem, "set it back and write another one")


def _files(folder: Path) -> list[Path]:
    return [file for file in _all(folder) if not file.name.endswith(".rollback.sql")]


def _all(folder: Path) -> list[Path]:
    return paths.sql_files(folder)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.glob("*.sql"))


def _rollback_of(file: Path) -> Path:
    return file.with_suffix(".rollback.sql")


def _sums(folder: Path) -> dict[str, str]:
    file = folder / SUMS
    lines = paths.text_of(file).splitlines() if file.exists() else []
    found = [re.fullmatch(r"([0-9a-f]{64}) [ *](\S+\.sql)", line) for line in lines]
    if None in found:
        raise MigrationsError(f"{file}:{found.index(None) + 1}: is no line of sha256sum")
    return {match[2]: match[1] for match in found if match}


def _sum(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(file, f"cannot be read: {error.strerror}") from error
