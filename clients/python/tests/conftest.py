"""Fixtures for all tests of the client: services, and the environment that points at them."""

import uuid
from collections.abc import Iterator

import pytest
from serving import SECRET, Service, running


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service with authentication off, as `make serve` starts it: every caller is dev-user."""
    with running({}) as service:
        yield service


@pytest.fixture(scope="session")
def secured() -> Iterator[Service]:
    """A service with authentication on."""
    with running({"AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}) as service:
        yield service


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Removes the client's settings, and names the service in AMPLIFIER_URL for tests that use it."""
    for name in ("URL", "API_KEY", "USER_ID", "TOKEN"):
        monkeypatch.delenv(f"AMPLIFIER_{name}", raising=False)
    if "service" in request.fixturenames:
        monkeypatch.setenv("AMPLIFIER_URL", request.getfixturevalue("service").url)


@pytest.fixture
def key() -> str:
    """A key that no other test uses."""
    return f"test/{uuid.uuid4()}"
