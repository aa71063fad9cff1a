"""A real PostgreSQL for every test: the one of DATABASE_URL, a container's, or the embedded one."""

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
import jwt
import pytest
from litestar import Litestar

from amplifier import paths
from amplifier.api.routes import routes
from amplifier.runtime import module_loader
from amplifier.server.app import connect, lifespan
from amplifier.settings import Settings
from amplifier.web.authentication import generate_key
from tests.support import contract, llm

pytest_plugins = ["tests.support.database_fixtures"]
SECRET = "a secret for tests that is long enough for HS256"


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Tests run on the loop that the service runs on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the queries, to be broken."""
    return Path(shutil.copytree(paths.folder("queries"), tmp_path / "queries"))


def settings_for(dsn: str, **changes: Any) -> Settings:
    """Settings for a test: authentication on, small pool."""
    values = {
        "database_url": dsn,
        "auth_required": True,
        "secret_key": SECRET,
        "database_pool_min_size": 1,
        "database_pool_max_size": 6,  # of which a user gets two
    }
    return Settings(**(values | changes))


_routes: dict[str, list[Litestar]] = {}  # that no test uses at the moment: making them takes longer than most tests


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator["Api"]:
    """The application in this process, started and stopped."""
    unused = _routes.setdefault(settings.allowed_origins, [])
    app = connect(
        unused.pop() if unused else routes(settings, lifespan=[lifespan]), settings, settings.dsn or "", checked=True
    )
    async with app.lifespan():
        yield Api(app, settings)
    unused.append(app)


class Api:
    """Clients of an application, each as another user."""

    def __init__(self, app: Litestar, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.keys: dict[str, str] = {}

    async def register(self, app_id: str, is_admin: bool = False) -> str:
        """The API key of a new application, whose key manager is alice."""
        key = generate_key()
        await self.app.state.queries.applications.create(
            app_id=app_id,
            app_name=app_id,
            api_key_hash=key.hash,
            api_key_prefix=key.prefix,
            is_admin=is_admin,
            settings=b"{}",
            key_managers=["alice"],
        )
        self.keys[app_id] = key.text
        return key.text

    async def as_user(self, user_id: str, app_id: str = "app") -> httpx.AsyncClient:
        """A client that calls as `user_id` through the application `app_id` (an admin one when it is called admin)."""
        key = self.keys.get(app_id) or await self.register(app_id, app_id == "admin")
        return self.client({"X-API-Key": key, "Authorization": f"Bearer {token(sub=user_id)}"})

    def client(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        """A client with these headers, by default without credentials. A crash comes as 500, as over the network.

        Each answer must be one that the OpenAPI document tells of.
        """
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        hooks = {"response": [contract.check]}
        url = "http://test" if self.settings.auth_required else "http://localhost"
        return httpx.AsyncClient(transport=transport, base_url=url, headers=headers, event_hooks=hooks)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of `tests/runtime/modules` is installed, and nothing is known of what was before."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "runtime/modules"))
    monkeypatch.setattr(module_loader, "_resolved", {})
    module_loader._installed.cache_clear()
    yield
    module_loader._installed.cache_clear()


@pytest.fixture
async def stub() -> AsyncIterator[llm.Stub]:
    """A stub of the models' APIs, without rules: it repeats what was said."""
    async with llm.running() as stub:
        yield stub


@pytest.fixture
def alone() -> Iterator[None]:
    """Other tests that load the whole machine wait until this one is done, in whatever worker they are."""
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
    """A config of alice's."""
    return str((await alice.post("/configs", json=CONFIG)).json()["config_id"])


@pytest.fixture
async def session_id(alice: httpx.AsyncClient, config_id: str) -> str:
    """A session of alice's."""
    return str((await alice.post("/sessions", json={"config_id": config_id})).json()["session_id"])


CONFIG = {"name": "assistant", "config_data": {"bundle": {"name": "assistant"}}}


def token(key: str = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **claims: Any) -> str:
    """A JWT; `exp` is in a minute unless given, and left out when given as None."""
    payload = {"exp": int(time.time()) + 60} | claims
    present = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(present, key, algorithm, headers=headers)


def assert_problem(response: httpx.Response, status: int, detail: str | None = None) -> dict[str, Any]:
    """The problem document of a response, checked for its form."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert set(problem) >= {"type", "title", "detail"}
    if detail is not None:
        assert problem["detail"] == detail
    return problem


def with_database(dsn: str, name: str) -> str:
    """The same server's address with another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder directly below the temporary one: PostgreSQL's user must be able to reach it, also for root."""
    folder = Path(tempfile.mkdtemp(prefix="amplifier-test-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
