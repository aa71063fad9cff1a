"""`amplifier-api psql` opens psql on the database of the service, whoever started it and whatever is installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from amplifier.cli import psql
from amplifier.errors import OperatorError
from amplifier.postgres import embedded
from tests.conftest import private_folder
from tests.support.service import _environment, command, running_service

ANSWERS = ("psql", "--no-psqlrc", "-Atc")


@pytest.mark.slow
def test_arguments_and_status_are_those_of_psql(dsn: str) -> None:
    environ = {"DATABASE_URL": dsn}
    asked = command(environ, *ANSWERS, "select count(*) from sessions")
    assert (asked.returncode, asked.stdout) == (0, "0\n"), asked.stderr
    assert "psql is the PostgreSQL interactive terminal" in command(environ, "psql", "--help").stdout
    failed = command(environ, *ANSWERS, "select from nothing")
    assert failed.returncode == 1
    assert 'relation "nothing" does not exist' in failed.stderr
    script = f"{sys.executable} -m amplifier psql --no-psqlrc -At -v ON_ERROR_STOP=1"
    done = subprocess.run(
        ["bash", "-c", script], env=_environment(environ), input="select 1;\nselect 2;", capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "1\n2\n"), done.stderr


def test_password_is_not_among_the_arguments(tmp_path: Path) -> None:
    program = tmp_path / "psql"
    program.write_text('#!/bin/sh\necho "$@" "($PGPASSWORD)"\nkill -TERM $$\n')
    program.chmod(0o755)
    environ = {"DATABASE_URL": "postgresql://me:canary-7f3a@example.org:6000/name", "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = command(environ, "psql", "-l")
    assert done.returncode == 128 + 15, done.stderr
    shown = done.stdout.split()
    assert (shown[-2:], done.stdout.count("canary")) == (["-l", "(canary-7f3a)"], 1)
    assert {"--dbname=user=me", "host=example.org", "port=6000", "dbname=name"} <= set(shown)


def test_missing_psql_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    for prefer_own in (True, False):
        with pytest.raises(OperatorError, match="psql is missing: install the client programs of PostgreSQL"):
            psql._program(prefer_own)


@pytest.mark.slow
def test_embedded_database_is_opened_as_its_owner() -> None:
    with private_folder() as folder:
        environ = {"AMPLIFIER_HOME": str(folder)}
        told = "select current_user, (select count(*) > 60 from _yoyo_migration)"
        for _ in range(2):
            done = command(environ, *ANSWERS, told, limit=60)
            assert done.stdout == "amplifier|t\n", done.stderr
        with running_service(environ) as service:
            assert command(environ, *ANSWERS, told).stdout == "amplifier|t\n"
            reload = command(environ, *ANSWERS, "select announce('reload queries')")
            assert (reload.returncode, reload.stdout) == (0, "\n")
            if os.geteuid() == 0:
                account = ["runuser", "-u", "amplifier-api", "--", str(embedded.wheel_install() / "bin/psql")]
                address = ["-h", str(folder / "run"), "-U", "amplifier", "postgres", "-Atc", "select 1"]
                done = subprocess.run([*account, *address], cwd="/", capture_output=True, text=True, timeout=30)
                assert done.stdout == "1\n", done.stderr
            assert service.stop() == 0
