"""Makes migrations, and refuses those that would hold the service up, cannot be taken back, or were applied already."""

import contextlib
import hashlib
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from amplifier import embedded, schema, scratch
from amplifier.findings import Finding
from amplifier.settings import OperatorError

SUMS = "applied.sha256"  # as sha256sum writes it
_NAME = re.compile(r"(\d{4})-([a-z_]+)-([a-z_]+)\.sql")
_WORDS = re.compile(r"[a-z][a-z_]*( [a-z_]+)+")
_DEPENDS = re.compile(r"^-- depends: (\S+)$", re.MULTILINE)
_LOCK_LIMIT = "set local lock_timeout = '5s';"
_TRANSACTIONAL = "-- transactional: false"
_CONCURRENTLY = re.compile(r"\bcreate (?:unique )?index concurrently (if not exists )?(\w+)")
_TO_FILL_IN = "FILL IN"
# what squawk knows that does not hold here, and why
_EXCLUDED = {
    "prefer-robust-stmts": "a migration is one transaction; what is none has a rule of ours",
    "require-statement-timeout": "the lock's limit ends what makes others wait",
    "prefer-bigint-over-int": "counters of people and messages in one session",
    "prefer-text-field": "the names of applications and configs have a length that clients rely on",
}
_ALLOWED_IN_ROLLBACKS = ("ban-drop-table", "ban-drop-column", "ban-drop-constraint", "ban-drop-not-null")
_LOCK_LIMITS_ITSELF = "require-lock-timeout"  # `concurrently` waits without holding anybody up
_SKELETON = f"""-- depends: {{before}}
-- {_TO_FILL_IN}: what changes, for whom, and why.
{_LOCK_LIMIT}

-- {_TO_FILL_IN}: the statements.
"""
_ROLLBACK = f"""{_LOCK_LIMIT}

-- {_TO_FILL_IN}: what takes the other file back, in the reverse order.
"""


class MigrationsError(OperatorError):
    """A migration cannot be made or checked; the message says why."""


class _Squawk(msgspec.Struct):
    """A finding of squawk; `line` counts from 0."""

    file: str
    line: int
    rule_name: str
    message: str
    help: str | None = None


def new(folder: Path, title: str) -> list[Path]:
    """Writes the skeletons of `title`, "<table> <act>", and gives their paths. Raises MigrationsError."""
    if not _WORDS.fullmatch(title):
        raise MigrationsError(f'{title!r} is not "<table> <act>" in lower case, like "sessions add archived_at"')
    files = _files(folder)
    table, _, act = title.partition(" ")
    number = int(files[-1].name[:4]) + 1 if files else 1
    file = folder / f"{number:04}-{table}-{act.replace(' ', '_')}.sql"
    rollback = _rollback_of(file)
    file.write_text(_SKELETON.format(before=files[-1].stem) if files else _SKELETON.partition("\n")[2])
    rollback.write_text(_ROLLBACK)
    return [file, rollback]


def check(folder: Path, dsn: str) -> list[Finding]:
    """What is wrong with the migrations of a folder, tried on a database made at `dsn`. Raises OperatorError."""
    files = _files(folder)
    found = [finding for before, file in zip([None, *files], files, strict=False) for finding in _rules(before, file)]
    found += _edited(folder)
    found += _squawk(list(folder.glob("*.sql")))
    if not found:  # else they may not even apply
        found = list(wrong_rollbacks(folder, dsn))
    return found


def seal(folder: Path) -> list[str]:
    """Adds the files that are not listed yet to the list of what never changes, and gives their names."""
    known = _sums(folder)
    added = [file for file in sorted(folder.glob("*.sql")) if file.name not in known]
    lines = [f"{known.get(file.name) or _sum(file)}  {file.name}\n" for file in sorted(folder.glob("*.sql"))]
    (folder / SUMS).write_text("".join(lines))
    return [file.name for file in added]


def unsealed(folder: Path) -> Iterator[Finding]:
    """Files that are not on the list of what never changes."""
    known = _sums(folder)
    for file in sorted(folder.glob("*.sql")):
        if file.name not in known:
            yield _finding(file, "is not in applied.sha256", "when it is final: amplifier-api migrate check --seal")


def wrong_rollbacks(folder: Path, dsn: str) -> Iterator[Finding]:
    """Migrations that leave another schema behind than there was, once applied and taken back."""
    printed = io.StringIO()  # yoyo shows what a `select` brings back
    with (
        scratch.database(dsn) as database,
        schema.yoyo_backend(database) as backend,
        contextlib.redirect_stdout(printed),
    ):
        migrations = list(schema.known(folder))
        dumps = [dump(database)]
        for migration in migrations:
            backend.apply_one(migration)
            dumps.append(dump(database))
        for migration in reversed(migrations):
            dumps.pop()
            backend.rollback_one(migration)
            if dump(database) != dumps[-1]:
                file = _rollback_of(folder / f"{migration.id}.sql")
                yield _finding(file, "leaves another schema than there was before", "take everything back")
                return  # those before it start from a wrong place


def dump(dsn: str, program: Path | None = None) -> str:
    """The schema of a database, without what differs from run to run. Raises MigrationsError."""
    found = program or _pg_dump()
    command = [str(found), "--schema-only", "--no-owner", "--exclude-table=*yoyo*", dsn]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)  # noqa: S603
    if done.returncode != 0:
        raise MigrationsError(f"pg_dump failed: {done.stderr.strip()}")
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith(("--", "\\", "SET ", "SELECT "))]
    return "\n".join(lines) + "\n"


def _rules(before: Path | None, file: Path) -> Iterator[Finding]:
    """The rules of the house for one migration."""
    text, rollback = file.read_text(), _rollback_of(file)
    name = _NAME.fullmatch(file.name)
    if name is None:
        yield _finding(file, "is not named NNNN-<table>-<act>.sql", "make it with: amplifier-api migrate new")
    elif int(name[1]) != (int(before.name[:4]) + 1 if before else 1):
        yield _finding(file, "does not have the next number", "number it behind the one before")
    if before is not None and _DEPENDS.findall(text) != [before.stem]:
        yield _finding(file, "does not depend on the one before, and it alone", f"-- depends: {before.stem}")
    for one in (file, rollback):
        if not one.exists() or not _code(one):
            yield _finding(one, "is missing or empty", "write what takes the migration back")
        else:
            yield from _rules_for_statements(one)
    if rollback.exists() and (_TRANSACTIONAL in text) != (_TRANSACTIONAL in rollback.read_text()):
        yield _finding(rollback, "is transactional when the migration is not, or not when it is", "make both the same")


def _rules_for_statements(file: Path) -> Iterator[Finding]:
    text, code = file.read_text(), _code(file)
    if _TO_FILL_IN in text:
        yield _finding(file, "is not filled in", f"write what {_TO_FILL_IN} stands for")
    if _TRANSACTIONAL not in text and not code.startswith(_LOCK_LIMIT):
        yield _finding(file, "may wait for a lock, and make everybody wait", f"begin with: {_LOCK_LIMIT}")
    for found in _CONCURRENTLY.finditer(code):
        again = found[1] or f"drop index concurrently if exists {found[2]};" in code
        if not again or len(_CONCURRENTLY.findall(code)) > 1:
            remedy = "alone in its file, after: drop index concurrently if exists ..."
            yield _finding(file, f"cannot run again when {found[2]} was interrupted", remedy)


def _edited(folder: Path) -> Iterator[Finding]:
    """Files that changed, or went away, after they were listed."""
    for name, known in _sums(folder).items():
        file = folder / name
        if not file.exists() or _sum(file) != known:
            remedy = "set it back and write another migration: databases that have it would not notice"
            yield _finding(file, "was edited, renamed or removed after it was applied", remedy)


def _squawk(files: list[Path]) -> Iterator[Finding]:
    """What the linter knows of locks."""
    for transactional in (True, False):
        chosen = [str(file) for file in sorted(files) if (_TRANSACTIONAL not in file.read_text()) == transactional]
        excluded = [*_EXCLUDED, *([] if transactional else [_LOCK_LIMITS_ITSELF])]
        options = ["--reporter=json", "--pg-version=15.0", f"--exclude={','.join(excluded)}"]
        options += ["--assume-in-transaction"] * transactional
        for one in _run_squawk([*options, *chosen]) if chosen else ():
            is_rollback = one.file.endswith(".rollback.sql")
            if not (is_rollback and (one.rule_name in _ALLOWED_IN_ROLLBACKS or one.rule_name.startswith("ban-drop-"))):
                yield Finding(one.file, one.line + 1, None, f"{one.rule_name}: {one.message}", one.help)


def _run_squawk(arguments: list[str]) -> list[_Squawk]:
    program = Path(sys.executable).with_name("squawk")
    found = str(program) if program.exists() else shutil.which("squawk")
    if found is None:
        raise MigrationsError("the linter is missing, run: pip install squawk-cli")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, timeout=60)  # noqa: S603
    try:
        return msgspec.json.decode(done.stdout or "[]", type=list[_Squawk])
    except msgspec.MsgspecError:
        raise MigrationsError(f"squawk failed: {done.stderr.strip()}") from None


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise MigrationsError(f"{folder}: there is no such folder")
    return [file for file in sorted(folder.glob("*.sql")) if not file.name.endswith(".rollback.sql")]


def _rollback_of(file: Path) -> Path:
    return file.with_suffix(".rollback.sql")


def _code(file: Path) -> str:
    """A file's text without comments."""
    return re.sub(r"^\s*--.*\n?", "", file.read_text(), flags=re.MULTILINE).strip()


def _sums(folder: Path) -> dict[str, str]:
    file = folder / SUMS
    lines = file.read_text().splitlines() if file.exists() else []
    return {name: known for known, name in (line.split("  ") for line in lines)}


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _pg_dump() -> Path:
    """The newest one at hand; it has to be no older than the server."""
    try:
        return embedded.wheel_install() / "bin/pg_dump"
    except OperatorError:
        found = shutil.which("pg_dump")
        if found is None:
            raise MigrationsError("pg_dump is missing: install PostgreSQL's client programs") from None
        return Path(found)


def _finding(file: Path, problem: str, remedy: str) -> Finding:
    return Finding(str(file), 1, None, problem, remedy)
