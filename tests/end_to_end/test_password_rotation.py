"""A service with two worker processes whose database password is rotated while it serves."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from amplifier.postgres import embedded
from amplifier.schema import migrate, service_login
from tests.conftest import private_folder
from tests.support.service import command, running_service, wait_until

pytestmark = pytest.mark.slow

LOGIN = "rotating"


@pytest.fixture
def server() -> Iterator[str]:
    """A database whose server asks the service's login for its password."""
    with private_folder() as folder, embedded.running(folder, "amplifier-api") as dsn:
        migrate.migrate(dsn)
        service_login.ensure(dsn, LOGIN, "password-1")
        with psycopg.connect(dsn, autocommit=True) as owner:
            [path] = owner.execute("show hba_file").fetchone() or [""]
            rules = Path(path).read_text()
            Path(path).write_text(f"local all {LOGIN} scram-sha-256\n{rules}")
            owner.execute("select pg_reload_conf()")
        yield dsn


def as_login(dsn: str) -> str:
    """Returns the address for the service's login, without a password."""
    return dsn.replace("//amplifier@", f"//{LOGIN}@")


@pytest.mark.parametrize("form", ["DATABASE_PASSWORD", "DATABASE_URL"])
def test_new_connections_of_all_workers_use_the_new_password(server: str, tmp_path: Path, form: str) -> None:
    secret = tmp_path / "secret"
    parts = psycopg.conninfo.conninfo_to_dict(server)

    def write(password: str) -> None:
        text = password if form == "DATABASE_PASSWORD" else as_login(server).replace("@", f":{password}@", 1)
        (tmp_path / "next").write_text(text)
        (tmp_path / "next").rename(secret)

    write("password-1")
    environ = {form: f"file:{secret}", "SERVICE_WORKERS": "2", "DATABASE_POOL_MIN_SIZE": "0", "SECRETS_REFRESH": "3600"}
    if form == "DATABASE_PASSWORD":
        environ |= {"DATABASE_HOST": str(parts["host"]), "DATABASE_PORT": str(parts["port"]), "DATABASE_USER": LOGIN}
        environ["DATABASE_NAME"] = str(parts["dbname"])
    with running_service(environ) as service, psycopg.connect(server, autocommit=True) as owner:
        listening = "select count(*) from pg_stat_activity where usename = %s and application_name like '%%listener'"

        def listen() -> bool:
            return owner.execute(listening, (LOGIN,)).fetchone() == (2,)

        wait_until(listen, 30, lambda: service.output)
        service_login.ensure(server, LOGIN, "password-2")
        write("password-2")
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", (LOGIN,))

        def serves() -> bool:
            """A refused login makes each worker read the file at once, whatever SECRETS_REFRESH says."""
            answers = [httpx.get(f"{service.url}/configs", verify=False).status_code for _ in range(20)]
            return answers == [200] * 20

        wait_until(serves, 20, lambda: service.output)
        wait_until(listen, 20, lambda: service.output)
        assert "password-" not in service.output
    refused = command(environ | {form: environ[form] + "-absent"}, "queries", "top")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"amplifier-api: {form} refers to the file {secret}-absent, which does not exist")
