"""Secrets in files: what they are read as, what refuses the start, and what a change leaves."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from amplifier.runtime.secret_references import Secrets
from amplifier.secret import Secret, Version, known
from amplifier.secret_references import HELD, MOST_FORMER
from amplifier.setting_sources import load
from amplifier.settings import Settings, SettingsError

OWN = "own-" + "x" * 28  # 32 bytes


@pytest.fixture(autouse=True)
def _nothing_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    HELD.forget()
    yield
    HELD.forget()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with a secret."""
    file = tmp_path / "secret"
    file.write_text(OWN + "\n")
    return file


def refresh() -> None:
    HELD.refresh(lambda *_: None)


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_newlines_at_the_end_of_a_file_are_no_part_of_the_secret(file: Path, end: str) -> None:
    file.write_bytes(f" pass word {end}".encode())
    loaded = load({"DATABASE_PASSWORD": f"file:{file}", "DATABASE_HOST": "db"})
    assert loaded.password == " pass word "


def test_any_secret_setting_may_be_in_a_file(file: Path) -> None:
    file.write_text("postgresql://me:pass-word@host/name")
    loaded = load({"DATABASE_URL": f"file:{file}"})
    assert loaded.dsn == "postgresql://me:pass-word@host/name"
    file.write_text("postgresql://me:other-word@host/name")
    refresh()
    assert loaded.password == "other-word"
    assert "other-word" in known()


def test_other_settings_are_no_references(file: Path) -> None:
    assert load({"JWT_ISSUER": f"file:{file}"}).jwt_issuer == f"file:{file}"


REFUSALS = {
    "missing": (None, "which does not exist: mount it"),
    "empty": (b"\n", "which has no text"),
    "not UTF-8": (b"\xff\xfe", "which is not UTF-8"),
    "too large": (b"x" * 65_537, "which is larger than 64 kB"),
    "with NUL": (b"a\0b", "which is binary"),
    "folder": (None, "which is no file"),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_unusable_file_refuses_the_start_with_setting_and_reason(tmp_path: Path, fault: str) -> None:
    content, reason = REFUSALS[fault]
    path = tmp_path if fault == "folder" else tmp_path / fault
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^SECRET_KEY refers to the file {path}, {reason}"):
        load({"SECRET_KEY": f"file:{path}"})


def test_relative_path_is_refused_without_showing_it() -> None:
    """It may be a secret that happens to begin with `file:`."""
    with pytest.raises(SettingsError, match=r"SECRET_KEY begins with file:, which an absolute path must") as refused:
        load({"SECRET_KEY": "file:hunter2"})
    assert "hunter2" not in str(refused.value)


def test_text_of_file_is_checked_as_any_other(file: Path) -> None:
    file.write_text("short")
    with pytest.raises(SettingsError, match="SECRET_KEY must have at least 32 bytes"):
        load({"SECRET_KEY": f"file:{file}", "AUTH_REQUIRED": "true"})


@pytest.mark.parametrize("fault", ["deleted", "emptied", "unreadable"])
def test_lost_file_leaves_present_text_and_a_warning(file: Path, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load({"SECRET_KEY": f"file:{file}"})
    if fault == "deleted":
        file.unlink()
    else:
        file.write_bytes(b"" if fault == "emptied" else b"\xff")
    refresh()
    assert loaded.secret_key == Secret(OWN)
    assert f"file:{file} was not read again, and its present text stays: refers to the file" in caplog.text


def test_refused_text_leaves_the_present_one(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load({"SECRET_KEY": f"file:{file}"})
    file.write_text("another-secret")

    def refuse(secret: Secret, candidate: Secret) -> None:
        assert (secret.reveal(), candidate.reveal()) == (OWN, "another-secret")
        raise SettingsError("too short")

    HELD.refresh(refuse)
    assert loaded.secret_key == Secret(OWN)
    assert "its present text stays: too short" in caplog.text
    assert "another-secret" not in caplog.text


def test_one_lost_reference_does_not_stop_the_others(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("one")
    loaded = load({"SECRET_KEY": f"file:{other}", "DATABASE_PASSWORD": f"file:{file}", "DATABASE_HOST": "db"})
    other.unlink()
    file.write_text("two")
    refresh()
    assert loaded.password == "two"


def test_former_texts_of_a_file_still_decrypt(file: Path) -> None:
    loaded = load({"CONFIG_ENCRYPTION_KEY": f"file:{file}", "SECRETS_REFRESH": "0.000001"})
    for number in range(MOST_FORMER + 3):
        file.write_text(f"key-{number}")
        refresh()
    newest = MOST_FORMER + 2
    assert loaded.encryption_keys == [f"key-{newest - place}" for place in range(MOST_FORMER + 1)]


def test_new_text_encrypts_when_every_process_has_read_it(file: Path) -> None:
    loaded = load({"CONFIG_ENCRYPTION_KEY": f"file:{file}", "SECRETS_REFRESH": "60"})
    file.write_text("next")
    refresh()
    assert loaded.encryption_keys == [OWN, "next"]
    os.utime(file, (0, time.time() - 121))
    HELD.forget()
    assert load({"CONFIG_ENCRYPTION_KEY": f"file:{file}"}).encryption_keys == ["next"]


def test_keys_of_all_versions_are_listed_once() -> None:
    secret = Secret(Version("new, old"), Version("old,older"))
    assert Settings(config_encryption_key=secret).encryption_keys == ["new", "old", "older"]


def test_replaced_secret_key_verifies_for_a_time_only() -> None:
    now = time.time()
    secret = Secret(Version("c", now - 10), Version("b", now - 100), Version("a", 0))
    assert secret.recent(50) == ["c", "b"]
    assert secret.recent(150) == ["c", "b", "a"]
    assert secret.recent(5) == ["c"]


def test_unchanged_file_changes_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded = load({"SECRET_KEY": f"file:{file}"})
    before = loaded.secret_key.versions
    os.utime(file)
    with caplog.at_level(logging.INFO):
        refresh()
    assert loaded.secret_key.versions is before
    assert caplog.text == ""


def test_runs_get_the_present_text(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_KEY", f"file:{file}")
    secrets = Secrets(load(env_file="none").secrets | {"MODEL_KEY"})
    assert secrets("MODEL_KEY") is None, "a reference that was not followed is no secret"
    monkeypatch.setenv("RUNTIME_SECRETS", "MODEL_KEY")
    load(env_file="none")
    assert secrets("MODEL_KEY") == OWN
    file.write_text("rotated")
    refresh()
    assert secrets("MODEL_KEY") == "rotated"


def test_unusable_reference_of_runs_refuses_the_start() -> None:
    with pytest.raises(SettingsError, match=r"^MODEL_KEY refers to the file /nowhere/key, which"):
        load({"RUNTIME_SECRETS": "OTHER, MODEL_KEY", "MODEL_KEY": "file:/nowhere/key"})
