"""The unprivileged user that the embedded PostgreSQL works as when root starts it, and the folders it can reach."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from amplifier.errors import OperatorError


class EmbeddedError(OperatorError):
    """The embedded PostgreSQL cannot run; the message says what to do."""


def account_of(user: str) -> pwd.struct_passwd | None:
    """Whom the server runs as; none for oneself. Servers refuse root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(user)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", user]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedError(
            f"PostgreSQL does not run as root and the user {user!r} could not be made: "
            "make an unprivileged user and name it in AMPLIFIER_USER"
        ) from error
    return pwd.getpwnam(user)


def refuse_foreign(home: Path) -> None:
    """Keeps a slip like AMPLIFIER_HOME=/tmp from closing that folder to everybody else."""
    names = [path.name for path in home.iterdir()] if home.is_dir() else []
    if names and not any(name.startswith(("lock", "data.partial")) for name in names):
        raise EmbeddedError(f"AMPLIFIER_HOME={home} has other files in it: name a folder of its own")


def make_private(folder: Path, account: pwd.struct_passwd | None) -> None:
    """Makes `folder` and gives it, and only it, to whoever the server runs as."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
    except OSError as error:
        raise EmbeddedError(f"AMPLIFIER_HOME={folder} cannot be made private to its owner: {error.strerror}") from error


def refuse_closed_parents(path: Path, account: pwd.struct_passwd | None) -> None:
    """Raises EmbeddedError when whoever the server runs as could not get to `path`."""
    closed = _closed_parent(path, account)
    if account is not None and closed is not None:
        raise EmbeddedError(
            f"AMPLIFIER_HOME={path} is out of reach for the user {account.pw_name!r} that PostgreSQL runs as, because "
            f"{closed} is closed to it: choose another AMPLIFIER_HOME, for example /var/lib/amplifier-api"
        )


def _closed_parent(path: Path, account: pwd.struct_passwd | None) -> Path | None:
    """The outermost parent of `path` that the account may not pass through, if there is one."""
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
    """`install`, or a copy of it in `home` when its folder is closed to the account (a clone below /root)."""
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
        for path in (partial, *partial.rglob("*")):  # installed under a strict umask, it is closed itself
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
        partial.rename(copy)
    return copy
