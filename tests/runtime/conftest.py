"""Modules that tests install: a package with entry points on the path."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from amplifier.runtime import modules


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of `tests/runtime/modules` is installed, and nothing is known of what was before."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "modules"))
    monkeypatch.setattr(modules, "_resolved", {})
    modules._installed.cache_clear()
    yield
    modules._installed.cache_clear()
