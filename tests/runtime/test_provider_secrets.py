"""Providers receive only values of the config, nothing of the server's environment or of other tenants."""

import os
from pathlib import Path
from typing import Any

import amplifier_core.llm_errors as llm_errors
import pytest
from amplifier_core import ConfigurationError
from amplifier_core.testing import MockCoordinator

from amplifier.runtime.modules.providers import anthropic
from tests.runtime.providers import APIS, KEY, MODULES, mounted
from tests.support import llm
from tests.support.llm import Reply

CANARY = "canary"
NAMED = set(
    """
OPENAI_API_KEY OPENAI_ADMIN_KEY OPENAI_ORG_ID OPENAI_ORGANIZATION OPENAI_PROJECT_ID OPENAI_WEBHOOK_SECRET
OPENAI_API_VERSION OPENAI_DEFAULT_MODEL AZURE_OPENAI_API_KEY AZURE_OPENAI_AD_TOKEN ANTHROPIC_API_KEY
ANTHROPIC_AUTH_TOKEN ANTHROPIC_PROFILE ANTHROPIC_IDENTITY_TOKEN ANTHROPIC_FEDERATION_RULE_ID ANTHROPIC_ORGANIZATION_ID
ANTHROPIC_SERVICE_ACCOUNT_ID ANTHROPIC_WORKSPACE_ID ANTHROPIC_SCOPE ANTHROPIC_WEBHOOK_SIGNING_KEY
ANTHROPIC_BEDROCK_API_KEY ANTHROPIC_FOUNDRY_API_KEY ANTHROPIC_VERTEX_PROJECT_ID AWS_ACCESS_KEY_ID
AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_BEARER_TOKEN_BEDROCK AWS_REGION GOOGLE_CLOUD_PROJECT DATABASE_URL
SECRET_KEY OTEL_RESOURCE_ATTRIBUTES
""".split()  # noqa: SIM905
)
ADDRESSES = ["OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT", "ANTHROPIC_BASE_URL", "ANTHROPIC_BEDROCK_BASE_URL"]
HEADERS = [
    "Authorization", "X-Api-Key", "api-key", "Cookie", "User-Agent", "anthropic-version", "OpenAI-Project",
    "X-Stainless-Lang", "Accept", "Content-Type", "X-Other",
]  # fmt: skip
SENT = {
    "host", "content-length", "accept", "accept-encoding", "content-type", "user-agent", "authorization",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fills the environment of the server with canaries."""
    for name in NAMED:
        monkeypatch.setenv(name, f"{CANARY}-{name}")
    for name in ADDRESSES:
        monkeypatch.setenv(name, f"http://127.0.0.1:9/{CANARY}")
    custom = "\n".join(f"{name}: {CANARY}-{name}" for name in HEADERS)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", custom)
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", custom)
    monkeypatch.setenv("OPENAI_API_TYPE", "azure")
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {CANARY} password {CANARY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("api", APIS)
async def test_environment_is_not_sent(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub, default_headers={"X-Environment": api}) as one:
        await one.ask("hello")
    (seen,) = stub.requests
    everything = f"{seen.target} {seen.headers} {seen.raw!r}"
    assert CANARY not in everything
    expected = SENT | {"x-environment"} | ({"anthropic-version"} if api == "anthropic" else set())
    assert {name.lower() for name, _ in seen.headers} == expected
    assert len(seen.headers) == len(expected)
    assert seen.header("authorization") == f"Bearer {KEY}"
    assert seen.target == {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}[api]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("api", APIS)
async def test_default_base_url_is_that_of_provider(api: str) -> None:
    async with mounted(api, api_key=KEY, model="m") as one:
        url = str(one.provider._client.base_url)
    assert url == {"openai": "https://api.openai.com/v1/", "anthropic": "https://api.anthropic.com"}[api]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("api", APIS)
async def test_missing_key_is_not_taken_from_environment(api: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        await MODULES[api].mount(MockCoordinator(), {"model": "m"})


def test_canaries_cover_all_names_that_sdks_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a client reads these names; a new name must be reviewed before it is added."""
    asked: set[str] = set()

    class Environment(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.add(name)
            return default

    import anthropic as anthropic_sdk
    import openai as openai_sdk

    monkeypatch.setattr(os, "environ", Environment())
    openai_sdk.AsyncOpenAI(api_key="k", base_url="http://localhost")
    anthropic_sdk.AsyncAnthropic(api_key="k", base_url="http://localhost")
    of_sdks = {name for name in asked if name.startswith(("OPENAI", "ANTHROPIC"))}
    telemetry = {name for name in of_sdks if name.startswith("ANTHROPIC_OPEN_TELEMETRY")}
    assert of_sdks - telemetry <= {*NAMED, *ADDRESSES, "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"}


@pytest.mark.parametrize("api", APIS)
async def test_telemetry_headers_are_not_sent(stub: llm.Stub, api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "true")
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY_PROPAGATION", "true")
    async with mounted(api, stub, default_headers={"X-Telemetry": "1"}) as one:
        await one.ask("hello")
    assert not [
        name for name, _ in stub.requests[0].headers if name.lower() in ("traceparent", "tracestate", "baggage")
    ]


@pytest.mark.parametrize("api", APIS)
async def test_cookies_are_not_kept(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply("a", headers={"set-cookie": "tenant=1; Path=/"}))
    async with mounted(api, stub) as one, mounted(api, stub) as other:
        await one.ask("hello")
        await one.ask("hello")
        await other.ask("hello")
        assert len(one.provider._client._client.cookies) == 0
    assert [seen.header("cookie") for seen in stub.requests] == [None] * 3


@pytest.mark.parametrize("api", APIS)
async def test_headers_of_config_take_precedence(stub: llm.Stub, api: str) -> None:
    headers = {"api-key": "azure", "User-Agent": "mine", "Authorization": "Other"}
    async with mounted(api, stub, default_headers=headers) as one:
        await one.ask("hello")
    (seen,) = stub.requests
    assert [seen.header(name) for name in headers] == list(headers.values())


@pytest.mark.parametrize("api", APIS)
async def test_api_version_is_sent_as_parameter(stub: llm.Stub, api: str) -> None:
    async with mounted(api, stub, api_version="2024-10-21") as one:
        await one.ask("hello")
    assert stub.requests[0].query == {"api-version": "2024-10-21"}


async def test_path_of_base_url_is_kept(stub: llm.Stub) -> None:
    async with mounted("openai", stub, base_url=f"{stub.url}/openai/v1/") as one:
        await one.ask("hello")
    assert stub.requests[0].path == "/openai/v1/chat/completions"


def test_anthropic_version_equals_version_of_sdk() -> None:
    from anthropic._constants import ANTHROPIC_API_VERSION

    assert anthropic.API_VERSION == ANTHROPIC_API_VERSION


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"api_key": None}, "api_key"),
    ({"api_key": ""}, "api_key"),
    ({"api_key": 5}, "api_key"),
    ({"api_key": "line\nbreak"}, "api_key"),
    ({"api_key": "schlüssel"}, "api_key"),
    ({"model": None}, "model"),
    ({"model": ""}, "model"),
    ({"base_url": "ftp://127.0.0.1"}, "base_url"),
    ({"base_url": "file:///etc/passwd"}, "base_url"),
    ({"base_url": "127.0.0.1"}, "base_url"),
    ({"base_url": "http://user:password@127.0.0.1"}, "base_url"),
    ({"base_url": "http://127.0.0.1/?a=b"}, "base_url"),
    ({"base_url": "http://127.0.0.1/#a"}, "base_url"),
    ({"base_url": "http://127.0.0.1\r\nx: y"}, "base_url"),
    ({"base_url": "http://127.0.0.1:99999"}, "base_url"),
    ({"max_retries": 6}, "max_retries"),
    ({"max_retries": -1}, "max_retries"),
    ({"max_retries": "2"}, "max_retries"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"temperature": 3}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"context_window": -5}, "context_window"),
    ({"api_version": "a&b=c"}, "api_version"),
    ({"default_headers": {"Host": "elsewhere"}}, "must not set host"),
    ({"default_headers": {"Transfer-Encoding": "chunked"}}, "must not set transfer-encoding"),
    ({"default_headers": {"Proxy-Authorization": "x"}}, "must not set proxy-authorization"),
    ({"default_headers": {"a b": "x"}}, "default_headers"),
    ({"default_headers": {"a": "x\r\nb: c"}}, "default_headers"),
    ({"default_headers": {"a": 5}}, "default_headers"),
    ({"default_headers": "a: b"}, "default_headers"),
]


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(("change", "named"), REFUSED)
async def test_invalid_config_is_refused(api: str, change: dict[str, Any], named: str) -> None:
    config = {"api_key": KEY, "model": "m", "base_url": "http://127.0.0.1:9"} | change
    with pytest.raises(ConfigurationError, match=named) as caught:
        await MODULES[api].mount(MockCoordinator(), config)
    assert KEY not in str(caught.value)
    assert str(caught.value).startswith(f"provider-{api}: ")


@pytest.mark.parametrize("budget", [None, 0, 1023, 8192, "2000", True])
async def test_invalid_thinking_budget_is_refused(budget: Any) -> None:
    config = {"api_key": KEY, "model": "m", "thinking": {"budget_tokens": budget}}
    with pytest.raises(ConfigurationError, match="budget_tokens"):
        await anthropic.mount(MockCoordinator(), config)


@pytest.mark.parametrize("api", APIS)
async def test_unknown_keys_are_ignored(stub: llm.Stub, api: str) -> None:
    more = {"priority": 1, "default_model": "unused", "temperature": None, "debug": True}
    async with mounted(api, stub, **more) as one:
        await one.ask("hello")
        assert one.provider.priority == 1
    assert stub.requests[0].body["model"] == "model-1"


@pytest.mark.parametrize("api", APIS)
async def test_wrong_key_fails_call_and_not_mount(stub: llm.Stub, api: str) -> None:
    stub.queue(Reply(status=401, error="invalid x-api-key"))
    async with mounted(api, stub) as one:
        with pytest.raises(llm_errors.AuthenticationError):
            await one.ask("hello")
