"""The type of secrets: what shows them, what does not, and which texts logs mask."""

import copy
import json
import logging
import pickle

import msgspec
import pytest

from amplifier.secret import Secret, Version, known

TEXT = "canary-7f3a-secret"
KEY = "canary-key-1234"


@pytest.mark.parametrize(
    "show", [str, repr, "{}".format, "{!r:>5}".format, "%s".__mod__, lambda secret: repr([secret]), lambda s: f"{s:>9}"]
)
def test_no_representation_shows_secret(show: object) -> None:
    shown = show(Secret(TEXT))  # type: ignore[operator]
    assert "***" in shown
    assert TEXT not in shown


def test_version_of_a_secret_shows_no_text() -> None:
    assert str([Version(TEXT)]) == "[***]"


def test_logged_secret_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("amplifier").info("with %s and %r", Secret(TEXT), {"key": Secret(TEXT)})
    assert "***" in caplog.text
    assert TEXT not in caplog.text


@pytest.mark.parametrize("write", [pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode])
def test_secret_is_never_serialized(write: object) -> None:
    with pytest.raises(TypeError) as refusal:
        write(Secret(TEXT))  # type: ignore[operator]
    assert TEXT not in str(refusal.value)


def test_secrets_compare_by_text() -> None:
    assert Secret(TEXT) == Secret(TEXT)
    assert Secret(TEXT) != Secret(KEY)
    assert Secret(TEXT) != TEXT, "a text that came from elsewhere is never equal by accident"


def test_copy_follows_rotation_of_original() -> None:
    secret = Secret(TEXT)
    assert copy.copy(secret) is secret
    assert copy.deepcopy([secret])[0] is secret


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        (f"first-{KEY}, {KEY}", KEY),
        (f"postgresql://user:{KEY}@host/name", KEY),
        (f"postgresql://user:{KEY}%21@host/name", f"{KEY}!"),
        (f"postgresql://host/name?sslmode=require&password={KEY}", KEY),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://here/", KEY),
    ],
)
def test_parts_of_secrets_are_masked_too(text: str, hidden: str) -> None:
    secret = Secret(text)
    assert {text, hidden} <= known()
    secret.replace([Version("rotated-1234")])
    assert "rotated-1234" in known()
    assert text not in known(), "the secret is no longer in use"


def test_short_secrets_are_not_masked() -> None:
    secret = Secret("test")
    assert secret.reveal() not in known()
