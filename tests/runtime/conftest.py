"""The stub of the model APIs for each test."""

from collections.abc import AsyncIterator

import pytest

from tests import llm


@pytest.fixture
async def stub() -> AsyncIterator[llm.Stub]:
    """The stub, without rules: it repeats what was said."""
    async with llm.running() as stub:
        yield stub
