"""Addresses in configs: providers, and tools with a secret of the operator, reach allowed origins only."""

from typing import Any

import pytest

from amplifier.runtime.mount_plan import PlanRefused, mount_plan, origin_of
from tests.runtime.plans import SECRET, plan, provider, refusal, secret


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com:443/v1/chat?x=1",
        "HTTPS://API.Example.com/v1",
        "http://127.0.0.1:8080",
        "https://[::1]:8443/v1",
        "",
    ],
)
def test_addresses_of_an_allowed_origin_pass(address: str) -> None:
    assert plan(provider(base_url=address)).mount["providers"][0]["config"]["base_url"] == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.test",
        "http://api.example.com",
        "https://api.example.com:8443",
        "https://api.example.com@evil.test",
        "https://api.example.com:443@evil.test/",
        "https://api.example.com/@evil.test",
        "https://user@api.example.com",
        "https://api.example.com.evil.test",
        "https://api.example.com./",
        "https://api.example.com\\@evil.test",
        "https://api.example.com#@evil.test",
        "https://api.example.com?@evil.test",
        "https:\\\\evil.test",
        "https:/evil.test",
        "//evil.test",
        " https://api.example.com",
        "https://api.example.com ",
        "https://api.example.com\n",
        "https://api.example.com/\r\nHost: evil.test",
        "https://api.\u200bexample.com",
        "https://\uff41pi.example.com",
        "https://xn--pi-7ja.example.com",
        "https://api%2eexample.com",
        "https://api.example.com\u3002evil.test",
        "http://0177.0.0.1:8080",
        "http://2130706433:8080",
        "http://127.1:8080",
        "http://[::ffff:127.0.0.1]:8080",
        "http://localhost:8080",
        "https://[::1]",
        "https://[::1%25eth0]:8443",
        "http://169.254.169.254/latest/meta-data",
        "http+unix://%2Frun%2Fpodman.sock/x",
        "file:///etc/passwd",
        "ftp://api.example.com",
        "https://",
        "https://:443",
        "https://api.example.com:",
        "https://api.example.com:99999999",
        "https://api.example.com:\u0664\u0664\u0663",
    ],
)
def test_all_other_addresses_are_refused(address: str) -> None:
    message = refusal(provider(base_url=address))
    assert "providers[0].config.base_url" in message
    assert "RUNTIME_BASE_URLS" in message


@pytest.mark.parametrize(
    "given",
    [
        {"endpoint": "evil.test"},
        {"azureEndpoint": "evil.test"},
        {"api-base": "evil.test:80"},
        {"host": "evil.test"},
        {"host": 2130706433},
        {"base_urls": ["https://api.example.com", "evil.test"]},
        {"server_address": {"x": "evil.test"}},
        {"proxy": "evil.test:3128"},
        {"default_headers": {"Host": "evil.test"}},
        {"extra": {"anything": ["https://evil.test"]}},
        {"extra": {"anything": "//evil.test/x"}},
        {"base_url": "${NOTHING:https://evil.test}"},
        {"base_url": "https://${NOTHING:evil.test}"},
        {"token_url": "${ADDRESS}"},
        {"api_key": "${ADDRESS}"},
    ],
)
def test_provider_gets_no_address_under_another_key(given: dict[str, Any]) -> None:
    message = refusal(provider(**given))
    assert "RUNTIME_BASE_URLS" in message
    assert "evil" not in message
    assert "elsewhere" not in message


def test_tool_with_operators_secret_gets_allowed_addresses_only() -> None:
    own = {"module": "tool-x", "config": {"url": "https://a.test", "api_key": "clear-key"}}
    assert plan({**provider(), "tools": [own]}).mount["tools"] == [own]
    given = {"module": "tool-x", "config": {"url": "https://a.test", "api_key": "${ALLOWED}"}}
    assert refusal({**provider(), "tools": [given]}).startswith("tools[0].config.url: this address is not allowed")
    given = {"module": "tool-x", "config": {"url": "https://api.example.com", "api_key": "${ALLOWED}"}}
    assert plan({**provider(), "tools": [given]}).mount["tools"][0]["config"]["api_key"] == SECRET


def test_without_origins_no_address_is_allowed() -> None:
    with pytest.raises(PlanRefused):
        mount_plan(provider(base_url="https://api.openai.com/v1"), secret, frozenset())
    with pytest.raises(PlanRefused):
        mount_plan(provider(base_url="nonsense"), secret, frozenset({"nonsense"}))


def test_origin_is_scheme_host_and_port() -> None:
    assert origin_of("HTTP://Example.com/x") == ("http", "example.com", 80)
    assert origin_of("https://user:p@example.com") is None
