"""Finds the unprivileged user that the embedded PostgreSQL runs as when root starts it, and checks its folders."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from amplifier.errors import OperatorError


class EmbeddedError(OperatorError):
    """Raised when the embedded PostgreSQL cannot run. The message says what to do."""


def account_of(user: str) -> pwd.struct_passwd | None:
    """Returns the account that the server runs as, because PostgreSQL refuses to run as root.

    Returns None if the current user is not root: the server runs as that user. Creates `user` if it is missing; raises
    EmbeddedError if that fails.
    """
    if os.geteuid() != 0:
        return None
    if (found := _account(user)) is not None:
        return found
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", user]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        if (found := _account(user)) is not None:  # another process was faster
            return found
        raise EmbeddedError(
            f"PostgreSQL does not run as root and the user {user!r} could not be made: "
            "make an unprivileged user and name it in AMPLIFIER_USER"
        ) from error
    return pwd.getpwnam(user)


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def refuse_foreign(home: Path) -> None:
    """Raises EmbeddedError if `home` has other files, so that AMPLIFIER_HOME=/tmp does not make /tmp private."""
    names = [path.name for path in home.iterdir()] if home.is_dir() else []
    if names and not any(name.startswith(("lock", "data.partial")) for name in names):
        raise EmbeddedError(f"AMPLIFIER_HOME={home} has other files in it: name a folder of its own")


def make_private(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Creates `folder` and makes it accessible to the server's account only. Its parents keep their owners.

    Raises EmbeddedError.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise EmbeddedError(f"AMPLIFIER_HOME={folder} cannot be made private to its owner: {error.strerror}") from error


def refuse_closed_parents(path: Path, account: pwd.struct_passwd | None) -> None:
    """Raises EmbeddedError if the server's account cannot enter a parent folder of `path`."""
    closed = _closed_parent(path, account)
    if account is not None and closed is not None:
        raise EmbeddedError(
            f"AMPLIFIER_HOME={path} is out of reach for the user {account.pw_name!r} that PostgreSQL runs as, because "
            f"{closed} is closed to it: choose another AMPLIFIER_HOME, for example /var/lib/amplifier-api"
        )


def _closed_parent(path: Path, account: pwd.struct_passwd | None) -> Path | None:
    """Returns the outermost parent of `path` that the account may not enter, or None."""
    if account is None:
        return None
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    for parent in reversed(path.resolve().parents):
        status = parent.stat()
        may_group = 0o010 if status.st_gid in groups else 0o001
        may = 0o100 if status.st_uid == account.pw_uid else may_group
        if not status.st_mode & may:
            return parent
    return None


def reachable_install(install: Path, home: Path, account: pwd.struct_passwd | None) -> Path:
    """Returns `install`, or a copy of it in `home` if the account cannot reach it, as in a clone below /root."""
    if account is None or _closed_parent(install / "bin", account) is None:
        return install
    version = subprocess.run(  # noqa: S603
        [install / "bin/postgres", "--version"], check=True, capture_output=True, text=True, timeout=30
    ).stdout.split()[-1]
    copy = home / f"postgresql-{version}"
    if not copy.exists():
        partial = copy.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(install, partial, symlinks=True)
        for path in (
            partial,
            *partial.rglob("*"),
        ):  # a strict umask at installation may have closed the files themselves
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        partial.rename(copy)
    return copy
