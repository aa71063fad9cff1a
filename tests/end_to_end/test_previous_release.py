"""`.ci/previous-release` runs the tests of the previous release on the present migrations."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

SCRIPT = ROOT / ".ci/previous-release"
# a release whose tests want the column `title`; its environment is a shell
MAKEFILE = """.venv/ready:
\tmkdir -p .venv/bin
\tprintf '#!/bin/sh\\necho "tests of $$(cat VERSION): $$*"\\ngrep -q title migrations/*.sql\\n' > .venv/bin/pytest
\tchmod +x .venv/bin/pytest
"""


class Repository:
    """A small repository, with or without a release."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".ci").mkdir()
        shutil.copy(SCRIPT, folder / ".ci")
        (folder / "Makefile").write_text(MAKEFILE)
        (folder / "migrations").mkdir()
        self.git("init", "--quiet")
        self.commit("release 1", "create table things (title text);")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    def commit(self, version: str, migration: str) -> None:
        (self.folder / "VERSION").write_text(version)
        (self.folder / "migrations/0001-things-create.sql").write_text(migration)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", version)

    def run(self) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([self.folder / ".ci/previous-release"], capture_output=True, text=True, timeout=60)
        assert len(self.git("worktree", "list").splitlines()) == 1, "it cleans up"
        return done


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_repository_without_release_passes(repository: Repository) -> None:
    done = repository.run()
    assert (done.returncode, done.stdout) == (0, "there is no release with other migrations: nothing to try\n")


def test_release_is_not_tried_on_its_own_migrations(repository: Repository) -> None:
    repository.git("tag", "v1")
    assert "nothing to try" in repository.run().stdout
    repository.commit("release 2", "create table things (title text, more text);")
    repository.git("tag", "v2")
    done = repository.run()
    assert done.returncode == 0, done.stderr
    assert "v1 on the schema of v2\n" in done.stdout


def test_tests_of_release_decide(repository: Repository) -> None:
    repository.git("tag", "v1")
    repository.commit("release 2", "create table things (title text, more text);")
    done = repository.run()
    assert done.returncode == 0, done.stderr
    assert "tests of release 1: " in done.stdout
    assert done.stdout.rstrip().endswith(" tests/api")
    repository.commit("release 2", "create table things (heading text);")
    assert repository.run().returncode != 0


def test_uncommitted_migrations_count(repository: Repository) -> None:
    repository.git("tag", "v1")
    (repository.folder / "migrations/0002-things-rename_title.sql").write_text("title")
    (repository.folder / "migrations/0001-things-create.sql").unlink()
    assert "tests of release 1: " in repository.run().stdout
    (repository.folder / "migrations/0002-things-rename_title.sql").write_text("gone")
    assert repository.run().returncode != 0
