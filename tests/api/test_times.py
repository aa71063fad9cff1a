"""Every parameter that is a time takes the short forms, and answers a wrong one with the form."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.conftest import Api, assert_problem
from tests.support.paths import ROOT

PARAMETERS = [
    (path, parameter["name"])
    for path, methods in json.loads((ROOT / "openapi/openapi.json").read_text())["paths"].items()
    for operation in methods.values()
    for parameter in operation.get("parameters", [])
    if parameter["schema"].get("format") == "date-time"
]
FORMS = ["{day}T10:00Z", "{day}T12:00+02:00", "{day}%2012:00%2B02:00", "{day}t10:00:00.5z"]


def test_parameters_are_known() -> None:
    assert len(PARAMETERS) == 22
    assert {name for _, name in PARAMETERS} == {
        *("created_after", "created_before", "updated_after", "updated_before", "as_of")
    }


@pytest.mark.parametrize(("path", "name"), PARAMETERS)
async def test_short_forms_are_taken(api: Api, session_id: str, path: str, name: str) -> None:
    alice = await api.as_user("alice", "admin")
    url = path.format(session_id=session_id, user_id="me")
    q = "q=x&" if path.startswith("/search") or path.endswith("/search") else ""
    day = datetime.now(UTC).date() - timedelta(days=1)  # reports are of the last 400 days
    for form in (one.format(day=day) for one in FORMS):
        answer = await alice.get(f"{url}?{q}{name}={form}")
        assert answer.status_code == 200, (form, answer.text)
    for wrong in ("2024-05-20", "yesterday"):
        problem = assert_problem(await alice.get(f"{url}?{q}{name}={wrong}"), 422)
        assert problem["detail"].startswith(f"{name}: must be a time like 2024-05-20T10:00Z or "), wrong
        assert [one["field"] for one in problem["errors"]] == [name]


async def test_short_form_means_what_the_long_one_does(api: Api, session_id: str) -> None:
    alice = await api.as_user("alice")
    made = (await alice.get(f"/sessions/{session_id}")).json()["created_at"]
    minute = made[:16]
    for form in (f"{minute}Z", f"{minute}:00Z", minute, minute.replace("T", "%20")):
        rows = (await alice.get(f"/sessions?created_after={form}")).json()["sessions"]
        assert [row["session_id"] for row in rows] == [session_id], form
        assert (await alice.get(f"/sessions?created_before={form}")).json()["sessions"] == []
