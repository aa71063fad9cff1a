"""The services that the other tests use."""

import httpx
from serving import Service, token


def test_service_without_authentication_takes_every_caller_for_one_user(service: Service) -> None:
    assert httpx.get(f"{service.url}/users/me").json()["user_id"] == "dev-user"


def test_secured_service_knows_users_by_their_tokens(secured: Service) -> None:
    headers = {"X-API-Key": secured.application("tokens"), "Authorization": f"Bearer {token('mia')}"}
    assert httpx.get(f"{secured.url}/users/me", headers=headers).json()["user_id"] == "mia"
    assert httpx.get(f"{secured.url}/users/me").status_code == 401
