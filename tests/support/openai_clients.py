"""OpenAI's own client, on the application in this process."""

from typing import Any

import openai

from tests.conftest import Api


async def acting(api: Api, app_id: str = "desk") -> None:
    """Registers an application that acts for users."""
    await api.register(app_id)
    await api.app.state.queries.applications.update(
        app_id=app_id, app_name=None, is_active=None, settings=None, key_managers=None, act_as=True
    )


def client(api: Api, user_id: str, app_id: str = "desk", **options: Any) -> openai.AsyncOpenAI:
    """A client of an application that acts for a user, or without credentials while authentication is off."""
    host = "test" if api.settings.auth_required else "localhost"
    headers = {"X-User-ID": user_id} if api.settings.auth_required else {}
    known = {"api_key": api.keys.get(app_id, "any"), "default_headers": headers, "max_retries": 0} | options
    return openai.AsyncOpenAI(base_url=f"http://{host}/v1", http_client=api.client(), **known)
