"""X-Forwarded-For: the audit log believes it only from trusted proxies."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from amplifier.setting_sources import load
from amplifier.settings import SettingsError
from amplifier.web import forwarded
from amplifier.web.forwarded import Proxies
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


def client(peer: str, forwarded: list[str], *proxies: str) -> Any:
    """Returns the client's address of a request from `peer` with these headers X-Forwarded-For."""
    headers = [(b"x-forwarded-for", one.encode()) for one in forwarded]
    scope = {"client": (peer, 4711), "headers": headers}
    Proxies(proxies).restore_client(scope)
    return scope["client"][0]


def test_any_peer_vouches_for_one_address_only() -> None:
    """With `*`, what stands before the last address is whatever the client sent."""
    assert client("192.0.2.1", ["6.6.6.6, 203.0.113.9"], "*") == "203.0.113.9"
    assert client("192.0.2.1", ["6.6.6.6", "203.0.113.9, 10.1.2.3"], "*", "10.0.0.0/8") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9:51234", "203.0.113.9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, 10.0.0.7", "203.0.113.9"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
        ("unknown, 10.0.0.7", "10.0.0.7"),
        ("203.0.113.9, <script>, 10.0.0.7", "10.0.0.7"),
        ("unknown", "10.0.0.1"),
        (", ,", "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded_addresses_are_read_as_proxies_write_them(forwarded: str, address: str) -> None:
    assert client("10.0.0.1", [forwarded], "10.0.0.0/8") == address


def test_peer_of_a_socket_for_both_families_is_recognized() -> None:
    assert client("::ffff:10.0.0.1", ["203.0.113.9"], "10.0.0.0/8") == "203.0.113.9"
    assert client("::ffff:192.0.2.1", ["203.0.113.9"], "10.0.0.0/8") == "::ffff:192.0.2.1"


@pytest.mark.parametrize("value", ["proxy.local", "10.1.2.3/8", "10.0.0.0/40", "300.1.1.1", "10.0.0.1;::1", "**"])
def test_invalid_proxy_address_stops_start(value: str) -> None:
    with pytest.raises(SettingsError, match=r"^FORWARDED_ALLOW_IPS must be addresses or networks separated by commas"):
        load({"FORWARDED_ALLOW_IPS": value})


def test_proxies_are_read_as_list() -> None:
    assert load({"FORWARDED_ALLOW_IPS": "10.0.0.0/8, ::1"}).proxies == ["10.0.0.0/8", "::1"]
    assert load({"FORWARDED_ALLOW_IPS": "*"}).proxies == ["*"]


def test_long_texts_are_cut_before_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client behind the proxy may send any number of them, of 64 kB each."""
    read, seen = forwarded._address, []

    def noting(text: str) -> Any:
        seen.append(len(text))
        return read(text)

    monkeypatch.setattr(forwarded, "_address", noting)
    assert client("10.0.0.1", ["9" * 60_000], "10.0.0.0/8") == "10.0.0.1"
    assert client("10.0.0.1", [f"203.0.113.9{' ' * 200}x"], "10.0.0.0/8") == "10.0.0.1"
    assert client("10.0.0.1", [f"{'x' * 60_000}, 203.0.113.9"], "10.0.0.0/8") == "203.0.113.9"
    assert max(seen) <= 65
