"""X-Forwarded-For: the audit log believes it only from trusted proxies."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.settings import SettingsError, load
from tests.support.service import running_service

CONFIG = {"name": "n", "config_data": {"bundle": {"name": "b"}}}
CLAIMED = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-For", "10.1.2.3")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trusted", "address"),
    [
        (None, "127.0.0.1"),  # nobody's, not even of a process on the same machine
        ("127.0.0.1", "10.1.2.3"),
        (
            "127.0.0.1, 10.0.0.0/8",
            "203.0.113.9",
        ),  # before it stands what anybody can write
        ("192.0.2.1", "127.0.0.1"),
    ],
)
def test_audit_log_shows_last_address_that_is_no_proxy(
    dsn: str, sql: Callable[..., list[Any]], trusted: str | None, address: str
) -> None:
    environ = {"DATABASE_URL": dsn} | ({} if trusted is None else {"FORWARDED_ALLOW_IPS": trusted})
    with running_service(environ) as service:
        answer = httpx.post(f"{service.url}/configs", json=CONFIG, headers=CLAIMED)
        assert answer.status_code == 201
        long = {"X-Forwarded-For": "x" * 10_000}
        assert httpx.post(f"{service.url}/configs", json=CONFIG, headers=long).status_code == 201
    first, second = [row[0] for row in sql("select address from audit_log order by audit_id")]
    assert first == address
    assert len(second) <= 100


@pytest.mark.parametrize("value", ["proxy.local", "10.1.2.3/8", "10.0.0.0/40", "300.1.1.1", "10.0.0.1;::1", "**"])
def test_invalid_proxy_address_stops_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^FORWARDED_ALLOW_IPS must be addresses or networks separated by commas"):
        load({"FORWARDED_ALLOW_IPS": value})


def test_proxies_are_read_as_list() -> None:
    assert load({"FORWARDED_ALLOW_IPS": "10.0.0.0/8, ::1"}).proxies == ["10.0.0.0/8", "::1"]
    assert load({"FORWARDED_ALLOW_IPS": "*"}).proxies == ["*"]
