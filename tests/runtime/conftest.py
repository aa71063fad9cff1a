"""What tests of the runtime share: modules that they install, and the stub of the model APIs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from amplifier.runtime import modules
from tests import llm


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of `tests/runtime/modules` is installed, and nothing is known of what was before."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "modules"))
    monkeypatch.setattr(modules, "_resolved", {})
    modules._installed.cache_clear()
    yield
    modules._installed.cache_clear()


@pytest.fixture
async def stub() -> AsyncIterator[llm.Stub]:
    """The stub, without rules: it repeats what was said."""
    async with llm.running() as stub:
        yield stub
