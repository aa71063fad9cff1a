"""The Allow header of OPTIONS and of 405."""

import pytest
from litestar.routes import HTTPRoute

from tests.conftest import Api


@pytest.mark.parametrize("origins", ["", "https://app.example"])
async def test_options_lists_all_methods_of_path(api: Api, origins: str) -> None:
    alice = await api.as_user("alice")
    headers = {"Origin": origins} if origins else {}
    routes = [route for route in api.app.routes if isinstance(route, HTTPRoute)]
    assert len(routes) > 20
    for route in routes:
        path = "/".join(part if isinstance(part, str) else "1" for part in ["", *route.path_components])
        answer = await alice.request("OPTIONS", path, headers=headers)
        assert (answer.status_code, answer.content) == (204, b""), path
        allowed = {*route.methods, *(["HEAD"] if "GET" in route.methods else [])}
        assert answer.headers["allow"].split(", ") == sorted(allowed), path
        refused = await alice.request("QUERY", path)
        assert refused.status_code == 405
        assert set(refused.headers["allow"].split(", ")) == allowed, path
