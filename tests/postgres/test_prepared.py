"""New homes get copies of prepared files, each with an identity of its own. Files that cannot be used are not."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from amplifier.postgres import prepared
from amplifier.postgres.embedded import running, wheel_install
from amplifier.postgres.server_start import options_of
from tests.conftest import private_folder
from tests.postgres.conftest import USER, run
from tests.support.service import command, running_service, wait_until

pytestmark = pytest.mark.slow
LIMIT = 180.0  # seconds for a step of another process: these make clusters

IDENTIFIER = "select system_identifier from pg_control_system()"
IS_COPY = "select to_regclass('prepared') is not null"
KEYS = "select encode(inner_key || outer_key, 'hex') from notification_keys"


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """A folder with the prepared files of a cluster that has a table."""
    with private_folder() as folder, private_folder() as cache:
        with running(folder, USER) as dsn:
            run(dsn, "create table prepared as select 1 as one")
        prepared.keep(folder / "data", prepared.entry(cache, wheel_install(), options_of(wheel_install())))
        yield cache


@pytest.fixture
def cache(made: Path, tmp_path: Path) -> Path:
    """A copy of the folder, to be damaged."""
    copy = shutil.copytree(made, tmp_path / "cache")
    copy.chmod(0o700)
    return copy


def test_copies_have_data_and_identifiers_of_their_own(folder: Path, made: Path) -> None:
    found = []
    for name in ("one", "two"):
        with running(folder / name, USER, cache=made) as dsn:
            assert run(dsn, "select one from prepared") == [(1,)]
            run(dsn, "update prepared set one = 2")
            found += run(dsn, IDENTIFIER)
        assert (folder / name / "data").stat().st_mode & 0o777 == 0o700
        with running(folder / name, USER, cache=made) as dsn:
            assert run(dsn, "select one from prepared") == [(2,)], "a home with data keeps it"
            assert run(dsn, IDENTIFIER) == found[-1:]
    assert len(set(found)) == 2


def test_meanwhile_hears_whether_initdb_runs(folder: Path, made: Path) -> None:
    heard: list[bool] = []
    for name, cached in (("one", made), ("two", None)):
        with running(folder / name, USER, cache=cached, meanwhile=lambda _, is_empty: heard.append(is_empty)):
            pass
    assert heard == [False, True]


@pytest.mark.parametrize("damage", ["missing", "changed", "of others", "unstarted"])
def test_unusable_files_give_way_to_initdb(folder: Path, cache: Path, damage: str) -> None:
    [entry] = cache.glob("cluster-*")
    file = next(path for path in (entry / "data/base/5").iterdir() if path.stat().st_size > 8192)
    if damage == "missing":
        file.unlink()
    elif damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    elif damage == "of others":
        (entry / "data").chmod(0o777)
    else:  # the digests are right, and the server does not start
        (entry / "data/postgresql.conf").write_text("no_such_setting = on\n")
        (entry / "sums").write_text(prepared._sums(entry / "data"))
    with running(folder / "home", USER, cache=cache) as dsn:
        assert run(dsn, IS_COPY) == [(False,)]
    assert [path.name for path in (folder / "home").glob("data*")] == ["data"]
    assert entry.exists() is (damage != "unstarted")


def test_files_that_cannot_be_copied_leave_nothing(folder: Path, made: Path) -> None:
    [entry] = made.glob("cluster-*")
    full = folder / "missing/data"
    assert not prepared.copy(entry, full, wheel_install(), None)
    assert not full.parent.exists()


def test_files_of_earlier_releases_are_removed(tmp_path: Path, made: Path) -> None:
    data = tmp_path / "data"
    (data / "pg_wal").mkdir(parents=True)
    for number in range(4):
        entry = tmp_path / f"cluster-{number}"
        prepared.keep(data, entry)
        os.utime(entry, (number, number))
    assert {path.name for path in tmp_path.glob("cluster-*")} == {"cluster-2", "cluster-3"}


def test_command_prepares_schema_without_keys(folder: Path) -> None:
    environ = {"AMPLIFIER_CACHE": str(folder / "cache"), "SEARCH_LANGUAGE": "german"}
    done = command(environ, "prepare", limit=LIMIT)
    assert done.returncode == 0, done.stderr
    [entry] = (folder / "cache").glob("cluster-*")
    assert done.stdout == f"the files are in {entry}\n"
    keys = []
    for name in ("one", "two"):
        shown = command(environ | {"AMPLIFIER_HOME": str(folder / name)}, "psql", "-qAtc", KEYS, limit=LIMIT)
        assert shown.returncode == 0, shown.stderr
        assert not (folder / name / "initdb.log").exists(), "the home is a copy"
        keys.append(shown.stdout)
    assert len(set(keys)) == 2
    assert all(len(key) == 257 for key in keys)


def test_first_service_prepares_files_for_the_next(folder: Path) -> None:
    environ = {"AMPLIFIER_CACHE": str(folder / "cache")}
    with running_service(environ | {"AMPLIFIER_HOME": str(folder / "one")}, LIMIT) as service:
        wait_until(lambda: any((folder / "cache").glob("cluster-*")), LIMIT, lambda: service.output)
    with running_service(environ | {"AMPLIFIER_HOME": str(folder / "two")}, LIMIT) as service:
        assert not (folder / "two/initdb.log").exists()
