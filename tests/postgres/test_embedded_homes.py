"""Homes of the embedded PostgreSQL: any name works, and homes that cannot work are refused with the reason."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from amplifier.postgres import embedded
from amplifier.postgres.embedded import EmbeddedError, running
from tests.postgres.conftest import USER, as_root, run
from tests.support.service import LIMIT

pytestmark = pytest.mark.slow


def test_home_too_long_for_socket_is_refused(folder: Path) -> None:
    home = folder / ("x" * 100)
    with (
        pytest.raises(EmbeddedError, match="is too long for a socket's path: choose a shorter one"),
        running(home, USER),
    ):
        pass


def test_home_may_have_any_name(home: Path, folder: Path) -> None:
    other = home.rename(folder / "a b+c%20d?e&f=g#h'é")
    with running(other, USER) as dsn:
        assert run(dsn, "select one from kept") == [(1,)]
    other.rename(home)


def test_folder_with_other_files_is_refused_unchanged(folder: Path) -> None:
    (folder / "letter").write_text("dear")
    with pytest.raises(EmbeddedError, match="has other files in it"), running(folder, USER):
        pass
    assert (folder.stat().st_mode & 0o777, folder.stat().st_uid) == (0o755, os.geteuid())
    assert [path.name for path in folder.iterdir()] == ["letter"]


@as_root
def test_home_below_closed_folder_is_refused(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"because {closed} is closed to it"), running(closed / "deep/home", USER):
        pass


@as_root
def test_unreachable_installation_is_copied(folder: Path, home: Path) -> None:
    install = folder / "closed/install"
    (folder / "closed").mkdir(mode=0o700)
    shutil.copytree(embedded.wheel_install(), install, symlinks=True)
    subprocess.run(["chmod", "-R", "go=", install], check=True, timeout=LIMIT)  # as under umask 077
    for _ in range(2):
        with running(home, USER, install) as dsn:
            assert run(dsn, "select one from kept") == [(1,)]
            assert list(home.glob("postgresql-*/bin/postgres"))


def test_failing_server_start_is_reported_with_reason(home: Path) -> None:
    (home / "data/postgresql.auto.conf").write_text("no_such_setting = on\n")
    with pytest.raises(EmbeddedError, match=r"(?s)PostgreSQL did not start:.*no_such_setting"), running(home, USER):
        pass
    (home / "data/postgresql.auto.conf").write_text("")
