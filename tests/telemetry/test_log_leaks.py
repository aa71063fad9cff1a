"""The check of the log of all tests finds what it looks for."""

import logging

import httpx
import pytest

from amplifier.secret import Secret
from amplifier.web.authentication import generate_key
from tests.conftest import Api, token
from tests.support.log_leaks import leaks
from tests.support.service import check_output

logger = logging.getLogger("amplifier.tests")


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR])
@pytest.mark.parametrize("name", ["key", "token", "setting", "added"])
def test_planted_secrets_are_found(name: str, level: int) -> None:
    setting = Secret("canary of a setting")
    leaks.add("canary of a test")
    secrets = {"key": generate_key().text, "token": token(sub="mia"), "setting": setting.reveal()}
    logger.log(level, "it is %s", secrets.get(name, "canary of a test"))
    with pytest.raises(AssertionError, match="it is "):
        leaks.check()
    leaks.begin()


def test_secrets_in_exceptions_are_found() -> None:
    leaks.add("canary of a test")
    try:
        raise ValueError("canary of a test")
    except ValueError:
        logger.exception("failed")
    with pytest.raises(AssertionError, match="ValueError: canary of a test"):
        leaks.check()
    leaks.begin()


async def test_tickets_and_invitations_of_answers_are_known(
    api: Api, alice: httpx.AsyncClient, session_id: str
) -> None:
    ticket = (await alice.post("/events/ticket")).json()["ticket"]
    invitation = (await alice.post(f"/sessions/{session_id}/invitations", json={"role": "viewer"})).json()["token"]
    for text in (ticket, invitation, api.settings.secret_key.reveal()):
        logger.info("it is %s", text)
        with pytest.raises(AssertionError, match="it is "):
            leaks.check()
        leaks.begin()


def test_secrets_in_the_output_of_a_service_are_found() -> None:
    environ = {
        "SECRET_KEY": "canary of a setting",
        "DATABASE_URL": "postgresql://me:canary-word@host/db",
        "LOG_LEVEL": "x",
    }
    check_output(environ, "postgresql://me@host/db x")
    for text in ("canary of a setting", "canary-word", generate_key().text):
        with pytest.raises(AssertionError, match="it is "):
            check_output(environ, f"it is {text}")
