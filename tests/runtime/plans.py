"""Makes mount plans of configs, with two allowed secrets and some allowed addresses."""

from typing import Any

import pytest

from amplifier.runtime.mount_plan import Plan, PlanRefused, mount_plan

SECRET = 'sk-the-operator\'s "key" / 1'
ORIGINS = frozenset({"https://api.example.com", "http://127.0.0.1:8080/v1", "https://[::1]:8443"})


def secret(name: str) -> str | None:
    return {"ALLOWED": SECRET, "ADDRESS": "https://elsewhere.test"}.get(name)


def provider(**given: Any) -> dict[str, Any]:
    return {"providers": [{"module": "provider-openai", "config": given}]}


def plan(config: dict[str, Any]) -> Plan:
    return mount_plan(config, secret, ORIGINS)


def refusal(config: dict[str, Any]) -> str:
    with pytest.raises(PlanRefused) as refused:
        plan(config)
    return str(refused.value)
