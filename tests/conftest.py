"""Fixtures for all tests: the application on a database, its clients, configs and sessions.

Those of databases are in `tests/support/database_fixtures.py`.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import hypothesis
import jwt
import pytest
from litestar import Litestar

from amplifier import paths
from amplifier.api.routes import routes
from amplifier.runtime import module_loader
from amplifier.secret import Secret
from amplifier.server.app import connect, lifespan
from amplifier.setting_sources import SECRETS
from amplifier.settings import Settings
from amplifier.web.authentication import generate_key
from tests.support import contract, llm
from tests.support.log_leaks import leaks

pytest_plugins = ["tests.support.database_fixtures"]
# the load of the machine decides no test
hypothesis.settings.register_profile("any load", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any load")
SECRET = "a secret for tests that is long enough for HS256"
os.environ["AMPLIFIER_CACHE"] = "none"  # no test finds files that another one prepared, or prepares some


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Runs tests on the event loop of the service."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def _log_without_secrets() -> Iterator[None]:
    """Fails a test during which a secret was logged."""
    leaks.begin()
    yield
    leaks.check()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the queries that a test may change."""
    return Path(shutil.copytree(paths.folder("queries"), tmp_path / "queries"))


def settings_for(dsn: str, **changes: Any) -> Settings:
    """Returns settings for a test, with authentication and a small pool."""
    values = {
        "database_url": dsn,
        "auth_required": True,
        "secret_key": SECRET,
        "database_pool_min_size": 1,
        "database_pool_max_size": 6,  # a user's share is two
        "search_timeout": 8,  # a search takes at most 0.2 s, unless the machine is busy
    }
    texts = values | changes
    hidden = {name: Secret(texts[name]) for name in SECRETS & texts.keys() if isinstance(texts[name], str)}
    return Settings(**(texts | hidden))


_routes: dict[str, list[Litestar]] = {}  # that no test uses at the moment: making them takes longer than most tests


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator["Api"]:
    """Starts the application in this process and yields its clients."""
    unused = _routes.setdefault(settings.allowed_origins, [])
    app = connect(
        unused.pop() if unused else routes(settings, lifespan=[lifespan]), settings, settings.dsn or "", checked=True
    )
    async with app.lifespan():
        yield Api(app, settings)
    unused.append(app)


class Api:
    """An application and its clients, one per user."""

    def __init__(self, app: Litestar, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.keys: dict[str, str] = {}

    async def register(self, app_id: str, is_admin: bool = False) -> str:
        """Creates an application with the key manager alice. Returns its API key."""
        key = generate_key()
        await self.app.state.queries.applications.create(
            app_id=app_id,
            app_name=app_id,
            api_key_hash=key.hash,
            api_key_prefix=key.prefix,
            is_admin=is_admin,
            settings=b"{}",
            key_managers=["alice"],
            act_as=False,
        )
        leaks.add(key.text)
        self.keys[app_id] = key.text
        return key.text

    async def as_user(self, user_id: str, app_id: str = "app") -> httpx.AsyncClient:
        """Returns a client of `user_id` through the application `app_id`. The application `admin` is an admin one."""
        key = self.keys.get(app_id) or await self.register(app_id, app_id == "admin")
        return self.client({"X-API-Key": key, "Authorization": f"Bearer {token(sub=user_id)}"})

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        """Returns a client with these headers, by default without credentials. Unexpected errors become 500.

        Each answer must be one that the OpenAPI document tells of.
        """
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        hooks = {"response": [contract.check]}
        url = "http://test" if self.settings.auth_required else "http://localhost"
        return httpx.AsyncClient(transport=transport, base_url=url, headers=headers, event_hooks=hooks)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Installs the package of `tests/runtime/modules` and clears the caches of installed modules."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "runtime/modules"))
    monkeypatch.setattr(module_loader, "_resolved", {})
    module_loader._installed.cache_clear()
    yield
    module_loader._installed.cache_clear()


@pytest.fixture
async def stub() -> AsyncIterator[llm.Stub]:
    """A stub of the models' APIs without rules, which echoes messages."""
    async with llm.running() as stub:
        yield stub


@pytest.fixture
def alone() -> Iterator[None]:
    """Runs the test alone among those that use this fixture, in all workers: each loads the whole machine."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "alone")
    with (Path(tempfile.gettempdir()) / f"amplifier-test-{run}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def api(dsn: str) -> AsyncIterator[Api]:
    """The application with authentication on."""
    async with serving(settings_for(dsn)) as api:
        yield api


@pytest.fixture
async def alice(api: Api) -> httpx.AsyncClient:
    """A client of one user."""
    return await api.as_user("alice")


@pytest.fixture
async def bob(api: Api) -> httpx.AsyncClient:
    """A client of another user, through the same application."""
    return await api.as_user("bob")


@pytest.fixture
async def config_id(alice: httpx.AsyncClient) -> str:
    """The id of a config of alice."""
    return str((await alice.post("/configs", json=CONFIG)).json()["config_id"])


@pytest.fixture
async def session_id(alice: httpx.AsyncClient, config_id: str) -> str:
    """The id of a session of alice."""
    return str((await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"])


CONFIG = {"name": "assistant", "config_data": {"bundle": {"name": "assistant"}}}


def token(key: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """Returns a JWT. `exp` is in ten minutes unless given; None omits it."""
    payload = {"exp": int(time.time()) + 600} | claims
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers=headers)


def assert_problem(response: httpx.Response, status: int, detail: str | None = None) -> dict[str, Any]:
    """Checks the form of a problem response and returns its document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert set(problem) >= {"type", "title", "detail"}
    if detail is not None:
        assert problem["detail"] == detail
    return problem


def with_database(dsn: str, name: str) -> str:
    """Returns the address of another database of the same server."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """Creates a folder in /tmp, where PostgreSQL's own user can reach it, also if root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="amplifier-test-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
