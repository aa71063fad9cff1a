"""Modules are loaded by name if the operator allows them, and all failures are recorded."""

import importlib
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from amplifier_core import AmplifierSession

from amplifier.runtime import module_loader
from amplifier.runtime.module_loader import Loader, ModuleFailed, ModuleRefused, unknown, warm
from amplifier.runtime.mount_plan import mount_plan
from tests.runtime.sessions import ALLOWED, TOOLS, config, opened, transcript

pytestmark = pytest.mark.usefixtures("installed")

KEY = "sk-never/shown"


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yields the names of all Python modules that are imported by name from now on."""
    names: list[str] = []
    real = importlib.import_module

    def noting(name: str, package: str | None = None) -> Any:
        names.append(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", noting)
    return names


@pytest.mark.parametrize(
    "name",
    [
        "tool-not-allowed",
        "tool-not-installed-either",
        "os",
        "amplifier.runtime.modules.orchestrator",
        "runtime_test_modules.failing",
        "runtime_test_modules.failing:forbidden",
        "amplifier_module_tool_x",
        "../tool-some",
        "/etc/passwd",
        "./tests/runtime/modules",
        "git+https://x.test/y",
        "tool-some\n",
        "TOOL-SOME",
        "tool\u2010some",
        "",
        "-tool",
        "x" * 101,
        None,
        7,
        ["tool-some"],
    ],
)
async def test_module_that_is_not_allowed_is_refused_before_import(name: Any, imported: list[str]) -> None:
    loader = Loader(ALLOWED)
    with pytest.raises(ModuleRefused, match="RUNTIME_MODULES"):
        await loader.load(name, {})
    assert imported == []
    assert [failed for failed, _ in loader.failures] == [name]


@pytest.mark.parametrize("name", ["../x", "a.b", "os:system", "/srv/x", "Tool"])
async def test_invalid_name_cannot_be_allowed(name: str, imported: list[str]) -> None:
    with pytest.raises(ModuleRefused):
        await Loader(frozenset({name})).load(name, {})
    assert unknown(frozenset({name})) == [name]
    assert imported == []


@pytest.mark.parametrize("source", ["git+https://x.test/y", "/srv/x", {"path": "/srv/x"}])
async def test_source_is_refused_for_allowed_module(source: Any) -> None:
    with pytest.raises(ModuleRefused, match="source"):
        await Loader(ALLOWED).load("tool-some", {}, source_hint=source)


async def test_allowed_module_that_is_not_installed_is_refused() -> None:
    with pytest.raises(ModuleRefused, match="'tool-nowhere' is allowed but not installed"):
        await Loader(ALLOWED).load("tool-nowhere", {})
    assert unknown(ALLOWED) == ["tool-nowhere"]
    assert unknown(frozenset(module_loader.OURS)) == []


async def test_module_without_mount_is_refused() -> None:
    with pytest.raises(ModuleRefused, match="no function `mount`"):
        await Loader(ALLOWED).load("tool-empty", {})


def test_allowed_modules_are_imported_at_start_and_failures_returned() -> None:
    failures = dict(warm(ALLOWED))
    assert set(failures) == {"tool-empty", "tool-nowhere", "tool-unimportable"}
    assert "no such device" in str(failures["tool-unimportable"])
    assert set(module_loader._resolved) == ALLOWED - set(failures)


async def test_installed_module_replaces_included_one(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = module_loader._installed()["context-simple-theirs"]
    monkeypatch.setitem(module_loader._installed(), "context-simple", theirs)
    async with opened(config()) as session:
        assert type(session.coordinator.get("context")).__module__ == "runtime_test_modules.context"
        assert await session.execute("Hi") == "Hello"


async def test_session_runs_and_calls_modules_when_ready() -> None:
    async with opened(config(tools=TOOLS, hooks=[{"module": "hooks-ready"}])) as session:
        loader = session.coordinator.loader
        assert loader.failures == []
        assert loader.get_on_session_ready_queue() == []
        names = ["date", "fail", "give_up", "hang", "meet", "say"]
        assert session.coordinator.get_capability("test.order") == ["mounted", names]
        assert await session.execute("Hi") == "Hello"
        assert [message["role"] for message in await transcript(session)] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("given", "name", "text"),
    [
        ({"tools": [{"module": "tool-not-allowed"}]}, "tool-not-allowed", "not allowed"),
        ({"hooks": [{"module": "tool-nowhere"}]}, "tool-nowhere", "not installed"),
        ({"hooks": [{"module": "tool-unimportable"}]}, "tool-unimportable", "RuntimeError: this machine has no such"),
        ({"hooks": [{"module": "hooks-late"}]}, "hooks-late", "LookupError: too late"),
        ({"providers": [{"module": "provider-silent"}]}, "provider-silent", "did not install a new provider"),
        ({"providers": [{"module": "provider-nowhere"}]}, "provider-nowhere", "not allowed"),
    ],
)
async def test_failures_that_amplifier_core_ignores_are_recorded(given: dict[str, Any], name: str, text: str) -> None:
    async with opened({**config(), **given}) as session:
        [(failed, error)] = session.coordinator.loader.failures
        assert failed == name
        assert text in str(error)


@pytest.mark.parametrize("kind", ["orchestrator", "context"])
async def test_session_without_orchestrator_or_context_is_not_initialized(kind: str) -> None:
    plan = mount_plan(config(session={kind: "../loop"}), lambda name: None, frozenset())
    session = AmplifierSession(plan.mount, session_id="s")
    session.coordinator.loader = loader = Loader(ALLOWED, plan.secrets)
    with pytest.raises(RuntimeError, match=r"'\.\./loop' is not allowed"):
        await session.initialize()
    assert [name for name, _ in loader.failures] == ["../loop"]


async def test_failing_mount_shows_no_secret_in_error_and_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = {"module": "tool-broken", "config": {"api_key": "${KEY}"}}
    with caplog.at_level(logging.DEBUG):
        async with opened(config(tools=[broken]), secrets={"KEY": KEY}) as session:
            [(_, error)] = session.coordinator.loader.failures
    assert isinstance(error, ModuleFailed)
    assert str(error) == "tool-broken: ValueError: *** is no key, see https://x.test/?key=***"
    assert error.__context__ is None
    assert error.__cause__ is None
    [logged] = [record for record in caplog.records if record.name == "amplifier.runtime.module_loader"]
    exception = vars(logged)["fields"]["exception"]
    assert KEY not in caplog.text + exception
    assert "runtime_test_modules/failing.py" in exception


async def test_two_sessions_share_modules_and_nothing_else() -> None:
    async with opened(config({"text": "one"})) as one, opened(config({"text": "two"})) as two:
        assert [await one.execute("Hi"), await two.execute("Hi")] == ["one", "two"]
        assert await one.execute("Hi again") == "one"
        assert len(await transcript(one)) == 4
        assert len(await transcript(two)) == 2
