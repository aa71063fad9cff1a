"""The way to sign in, as the service tells it to a page that has no credentials yet, and the settings of that."""

from typing import Any

import pytest

from amplifier.setting_sources import load
from amplifier.settings import SettingsError
from tests.conftest import SECRET, assert_problem, serving, settings_for

ISSUER = {"console_oidc_issuer": "https://login.example/v2.0", "console_oidc_client_id": "console-page"}
NOTHING = {"api_key_header": None, "oidc": None}
OIDC = {"issuer": "https://login.example/v2.0", "client_id": "console-page", "scopes": ["openid", "api://x/use"]}
# settings, and the answer
MODES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"auth_required": False}, {"auth_required": False, "mode": "off", **NOTHING}),
    ({"auth_required": False, **ISSUER}, {"auth_required": False, "mode": "off", **NOTHING}),
    (
        {"api_key_header": "X-Own-Key"},
        {"auth_required": True, "mode": "api_key_jwt", "api_key_header": "X-Own-Key", "oidc": None},
    ),
    ({"auth_mode": "jwt_only"}, {"auth_required": True, "mode": "jwt_only", **NOTHING}),
    (
        {"auth_mode": "jwt_only", "console_oidc_scopes": "openid  api://x/use", **ISSUER},
        {"auth_required": True, "mode": "jwt_only", "api_key_header": None, "oidc": OIDC},
    ),
]


@pytest.mark.parametrize(("settings", "answer"), MODES)
async def test_page_without_credentials_learns_how_to_sign_in(
    dsn: str, settings: dict[str, Any], answer: dict[str, Any]
) -> None:
    async with serving(settings_for(dsn, **settings)) as api:
        found = await api.client().get("/sign-in")
        assert (found.status_code, found.json()) == (200, answer)
        assert_problem(await api.client().get("/sign-in?x=1"), 422)


@pytest.mark.parametrize("issuer", ["https://login.example", "http://127.0.0.1:9/realms/a", "http://localhost:9000"])
def test_issuers_that_are_taken(issuer: str) -> None:
    variables = {"CONSOLE_OIDC_ISSUER": issuer, "CONSOLE_OIDC_CLIENT_ID": "x"}
    assert load(variables).console_oidc_issuer == issuer


@pytest.mark.parametrize(
    "issuer", ["login.example", "http://login.example", "https://x;y", "https://x/ 'unsafe-inline'", "https://x?a", ""]
)
def test_issuer_without_encryption_or_with_more_than_an_address_is_refused(issuer: str) -> None:
    with pytest.raises(SettingsError, match=r"^CONSOLE_OIDC_ISSUER must be an https address"):
        load({"CONSOLE_OIDC_ISSUER": issuer or "x", "CONSOLE_OIDC_CLIENT_ID": "x"})


def test_issuer_needs_a_client_and_tokens_alone() -> None:
    issuer = {"CONSOLE_OIDC_ISSUER": "https://login.example"}
    with pytest.raises(SettingsError, match=r"^CONSOLE_OIDC_CLIENT_ID must be set"):
        load(issuer)
    signed = issuer | {"CONSOLE_OIDC_CLIENT_ID": "x", "AUTH_REQUIRED": "true", "SECRET_KEY": SECRET}
    with pytest.raises(SettingsError, match=r"^AUTH_MODE must be jwt_only when CONSOLE_OIDC_ISSUER is set"):
        load(signed)
    assert load(signed | {"AUTH_MODE": "jwt_only"}).console_oidc_client_id == "x"
