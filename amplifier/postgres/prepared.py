"""Files of new embedded clusters, kept with the schema in them: copying them takes a tenth of the time of making them.

A copy gets a system identifier of its own. Secrets that migrations make are not in the files; see
`schema/notification_keys.py`. `cli/prepare.py` makes the files, `embedded.py` copies them.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import platform
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from amplifier import paths
from amplifier.postgres.os_user import EmbeddedError
from amplifier.postgres.server_process import popen

logger = logging.getLogger(__name__)

_FORMAT = 1  # of an entry; others are not read
_KEPT = 2  # entries: two releases that are used in turn do not remove each other's
_LIMIT = 120.0  # seconds for a program
_OTHERS = 0o022  # bits of a mode that let others write
_SUMS = "sums"  # the file with the digests of all others


def entry(cache: Path, install: Path, options: list[str]) -> Path:
    """Returns the path of the files for a release, whose name has everything that decides about their content.

    `options` are those of initdb.
    """
    postgres = (install / "bin/postgres").stat()
    parts = [_FORMAT, *options, postgres.st_size, postgres.st_mtime_ns, platform.machine(), os.environ.get("TZ")]
    parts += [os.path.realpath("/etc/localtime"), *platform.libc_ver()]
    digest = hashlib.sha256(repr(parts).encode())
    for file in sorted(paths.folder("migrations").glob("*.sql")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return cache / f"cluster-{digest.hexdigest()[:20]}"


def is_kept(entry: Path) -> bool:
    """Returns whether the files are there, and nobody but this user and root can have changed them."""
    try:
        return all(_is_private(path) for path in (entry.parent, entry, entry / _SUMS, entry / "data"))
    except OSError:
        return False


def copy(entry: Path, to: Path, install: Path, account: pwd.struct_passwd | None) -> bool:
    """Copies the files as a new cluster, durably. Returns False, and leaves nothing, if they cannot be used."""
    try:
        if not is_kept(entry):
            return False
        _copy(entry / "data", to)
        if (entry / _SUMS).read_text() != _sums(to):
            raise EmbeddedError("they are damaged")
        _give(to, account)
        _renumber(to, install, account)
        _run([str(install / "bin/initdb"), "--sync-only", "-D", str(to)], account)
        os.utime(entry)
    except (OSError, subprocess.SubprocessError, EmbeddedError) as error:
        logger.info("the prepared cluster in %s is not used: %s", entry, error)
        shutil.rmtree(to, ignore_errors=True)
        return False
    return True


def keep(data: Path, entry: Path) -> None:
    """Keeps the files of a stopped server as `entry`, and removes those that were not used for longest.

    Raises OSError and EmbeddedError.
    """
    partial = entry.parent / f"partial-{os.getpid()}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700, parents=True)
        _copy(data, partial / "data")
        for segment in (partial / "data/pg_wal").iterdir():  # a copy gets a new one
            if segment.is_file():
                segment.unlink()
        for name in ("postmaster.opts", "pg_ident.conf"):
            (partial / "data" / name).write_text("")
        (partial / _SUMS).write_text(_sums(partial / "data"))
        os.sync()
        discard(entry)
        partial.rename(entry)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for old in sorted(entry.parent.glob("cluster-*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        discard(old)


def discard(entry: Path) -> None:
    """Removes files, if they are there."""
    shutil.rmtree(entry, ignore_errors=True)


@contextlib.contextmanager
def exclusively(cache: Path) -> Iterator[bool]:
    """Locks the folder for a process that prepares files. Yields False if another one does.

    Raises OSError if the folder cannot be made.
    """
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            for left in cache.glob("partial-*"):
                shutil.rmtree(left, ignore_errors=True)
            yield True


def _is_private(path: Path) -> bool:
    status = path.lstat()
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & _OTHERS


def _copy(source: Path, to: Path) -> None:
    if shutil.which("cp"):  # without Python's lock: modules are imported meanwhile
        reflink = ["--reflink=auto"] if platform.system() == "Linux" and "GNU" in _cp_version() else []
        subprocess.run(["cp", "-R", *reflink, str(source), str(to)], check=True, capture_output=True, timeout=_LIMIT)  # noqa: S603, S607
    else:
        shutil.copytree(source, to)


def _cp_version() -> str:
    return subprocess.run(["cp", "--version"], capture_output=True, text=True, timeout=_LIMIT, check=False).stdout  # noqa: S607


def _sums(data: Path) -> str:
    """Returns a line with the digest of each file."""
    lines = []
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            lines.append(f"{hashlib.file_digest(content, 'sha256').hexdigest()} {file.relative_to(data)}\n")
    return "".join(lines)


def _give(data: Path, account: pwd.struct_passwd | None) -> None:
    data.chmod(0o700)
    if account is not None:
        for path in (data, *data.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _renumber(data: Path, install: Path, account: pwd.struct_passwd | None) -> None:
    """Gives a cluster another system identifier, made like those of initdb, and new WAL.

    The identifier tells clusters apart: a replica's from others, and the WAL of one from that of another.
    """
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    identifier = seconds << 32 | nanoseconds // 1000 << 12 | os.getpid() & 0xFFF
    with (data / "global/pg_control").open("r+b") as control:  # it begins with the identifier
        control.write(identifier.to_bytes(8, sys.byteorder))
    # -f, because the checksum of pg_control does not match before pg_resetwal has written it
    _run([str(install / "bin/pg_resetwal"), "-f", "-D", str(data)], account)


def _run(command: list[str], account: pwd.struct_passwd | None) -> None:
    with tempfile.TemporaryFile() as log:
        if popen(command, account, log).wait(_LIMIT) != 0:
            log.seek(0)
            raise EmbeddedError(log.read().decode(errors="replace")[-500:])
