"""Encryption of secrets in configs: which values are secrets, and that no user's input breaks or decrypts another's."""

import base64
import copy
import itertools
from typing import Any

import pytest

from amplifier.configs.encryption import Keyring
from amplifier.secret import Secret
from amplifier.settings import Settings

KEYRING = Keyring(["the first key"])
CONTEXT = "config-1"


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apiKey",
        "api-key",
        "API_KEY",
        "OPENAI_API_KEY",
        "openai.api.key",
        "secret",
        "clientSecret",
        "db_password",
        "Password",
        "token",
        "access_token",
        "tokens",
        "bot-token-2",
        "credential",
        "credentials",
        "private_key",
        "privateKey",
        "aws_access_key_id",
        "accessKey",
        *("authorization", "Proxy-Authorization", "authorization_header", "auth", "AUTH", "basic_auth", "proxyAuth"),
        *(
            "db_passwd",
            "passphrase",
            "cookie",
            "Set-Cookie",
            "cookies",
            "subscription_key",
            "Ocp-Apim-Subscription-Key",
        ),
        *(
            "connection_string",
            "connectionString",
            "x-auth-key",
            "default_headers",
            "adminTokens",
            "token_limit_secret",
        ),
    ],
)
def test_value_under_secret_name_is_encrypted(key: str) -> None:
    config = {"outer": [{key: "clear"}], key: "clear"}
    stored = KEYRING.encrypt(config, CONTEXT)
    for value in (stored[key], stored["outer"][0][key]):
        assert value.startswith("enc:")
        assert "clear" not in value
    assert KEYRING.decrypt(stored, CONTEXT) == config


@pytest.mark.parametrize(
    "key",
    [
        *("name", "key", "keyboard", "model", "url", "pass", "author", "private", "access"),
        *("authority", "authorities", "authorized", "oauth", "tokenizer", "tokenization", "cookie_domain", "passive"),
        *("token_limit", "chunk_token_budget", "tokens_per_minute", "max_token", "cached_tokens"),
        *("max_tokens", "maxTokens", "max_output_tokens", "total_tokens", "budget_tokens", "thinking_budget_tokens"),
    ],
)
def test_value_under_other_name_is_not_encrypted(key: str) -> None:
    config = {key: "4096", "deep": [{key: ["4096"]}]}
    assert KEYRING.encrypt(config, CONTEXT) == config


def test_all_values_below_secret_name_are_encrypted() -> None:
    config = {
        "credentials": {"user": "u", "hosts": ["h1", {"name": "h2"}], "nested": {"deeper": [["d"]]}},
        "api_keys": ["k1", "k2"],
        "plain": {"user": "u", "tags": ["t"]},
    }
    stored = KEYRING.encrypt(config, CONTEXT)
    assert stored["plain"] == config["plain"]
    hidden = list(_strings([stored["credentials"], stored["api_keys"]]))
    assert len(hidden) == 6
    assert all(text.startswith("enc:") for text in hidden)
    assert KEYRING.decrypt(stored, CONTEXT) == config


@pytest.mark.parametrize("value", [None, [], {}, [None], "${API_KEY}", ["${A}"]])
def test_null_and_references_are_not_encrypted(value: Any) -> None:
    config = {"api_key": value, "secret": {"password": value}}
    assert KEYRING.encrypt(config, CONTEXT) == config
    assert KEYRING.decrypt(config, CONTEXT) == config
    assert not KEYRING.holds(config, CONTEXT)


@pytest.mark.parametrize("value", [1, 0, -(2**63), 2**63, 1.5, 1e300, True, False])
def test_numbers_and_booleans_are_encrypted_and_keep_their_type(value: Any) -> None:
    config = {"api_key": value, "secret": {"pin": [value]}}
    stored = KEYRING.encrypt(config, CONTEXT)
    for hidden in (stored["api_key"], stored["secret"]["pin"][0]):
        assert hidden.startswith("enc:")
    assert KEYRING.encrypt(stored, CONTEXT) == stored
    opened = KEYRING.decrypt(stored, CONTEXT)
    assert opened == config
    assert type(opened["api_key"]) is type(value)


def test_text_does_not_open_as_number_nor_number_as_text() -> None:
    """The version, which tells the type of the value, is authenticated."""
    for value, version in (("1", b"\x02"), (1, b"\x01")):
        blob = base64.urlsafe_b64decode(KEYRING.encrypt({"pin_token": value}, CONTEXT)["pin_token"][4:])
        changed = {"pin_token": "enc:" + base64.urlsafe_b64encode(version + blob[1:]).decode()}
        assert KEYRING.decrypt(changed, CONTEXT) == changed


def test_value_under_formerly_secret_name_is_decrypted() -> None:
    """Such as a `tokenizer` that an earlier version encrypted."""
    sealed = KEYRING.encrypt({"token": "o200k"}, CONTEXT)["token"]
    assert KEYRING.decrypt({"tokenizer": sealed}, CONTEXT) == {"tokenizer": "o200k"}
    assert KEYRING.holds({"tokenizer": sealed}, CONTEXT)


@pytest.mark.parametrize("text", ["x${A}", "${A}${B}", "${A", "$A", "${A} ", "", "é\u2028\x7f", "x" * 100_000])
def test_any_text_is_encrypted_and_decrypted_again(text: str) -> None:
    stored = KEYRING.encrypt({"token": text}, CONTEXT)
    assert stored["token"].startswith("enc:")
    assert KEYRING.decrypt(stored, CONTEXT) == {"token": text}


@pytest.mark.parametrize("text", ["enc:", "enc:zzz", "enc:====", "enc:é", "enc:\x00", "enc:enc:zzz", "enc:" + "A" * 80])
def test_plain_value_that_looks_encrypted_survives(text: str) -> None:
    config = {"api_key": text}
    assert not KEYRING.holds(config, CONTEXT)
    assert KEYRING.decrypt(config, CONTEXT) == config, "stored before a key was configured"
    stored = KEYRING.encrypt(config, CONTEXT)
    assert stored != config
    assert KEYRING.decrypt(stored, CONTEXT) == config


def test_given_config_is_not_changed() -> None:
    config = {"api_key": "clear", "list": [{"token": "clear"}]}
    before = copy.deepcopy(config)
    KEYRING.decrypt(KEYRING.encrypt(config, CONTEXT), CONTEXT)
    assert config == before


def test_encrypted_value_that_is_sent_back_stays() -> None:
    stored = KEYRING.encrypt({"api_key": "clear", "token": ["a", "b"]}, CONTEXT)
    again = KEYRING.encrypt(stored | {"secret": "new"}, CONTEXT)
    assert {name: again[name] for name in stored} == stored
    assert KEYRING.decrypt(again, CONTEXT) == {"api_key": "clear", "token": ["a", "b"], "secret": "new"}


def test_equal_secrets_look_different() -> None:
    stored = KEYRING.encrypt({"token": ["same"] * 10}, CONTEXT)
    assert len(set(stored["token"])) == 10


def test_rotation_encrypts_with_the_first_key_and_decrypts_with_all() -> None:
    old, new = Keyring(["old key"]), Keyring(["new key"])
    both = Keyring(["new key", "old key"])
    by_old = old.encrypt({"token": "clear"}, CONTEXT)
    assert both.decrypt(by_old, CONTEXT) == {"token": "clear"}
    assert both.encrypt(by_old, CONTEXT) == by_old, "under an old key is encrypted, too"
    assert new.decrypt(by_old, CONTEXT) == by_old, "a key that was taken away opens nothing"
    by_both = both.encrypt({"token": "clear"}, CONTEXT)
    assert new.decrypt(by_both, CONTEXT) == {"token": "clear"}
    assert not old.holds(by_both, CONTEXT)


def test_value_moved_into_another_config_is_not_decrypted() -> None:
    stolen = KEYRING.encrypt({"token": "clear"}, CONTEXT)
    assert KEYRING.decrypt(stolen, "config-2") == stolen
    assert not KEYRING.holds(stolen, "config-2")
    stored = KEYRING.encrypt(stolen, "config-2")
    assert KEYRING.decrypt(stored, "config-2") == stolen, "it is text like any other there"


@pytest.mark.parametrize("length", [0, 1, 2])
def test_value_changed_in_any_position_is_not_decrypted(length: int) -> None:
    """Three lengths, one for each padding of base64."""
    text = KEYRING.encrypt({"token": "x" * length}, CONTEXT)["token"]
    for position, other in itertools.product(range(len(text)), "A_=\n é"):
        changed = {"token": text[:position] + other + text[position + 1 :]}
        if changed["token"] != text:
            assert KEYRING.decrypt(changed, CONTEXT) == changed, (position, other)
    for position in range(len(text)):
        for bit in range(8):
            changed = {"token": text[:position] + chr(ord(text[position]) ^ 1 << bit) + text[position + 1 :]}
            assert KEYRING.decrypt(changed, CONTEXT) == changed, (position, bit)


def test_shortened_or_lengthened_value_is_not_decrypted() -> None:
    text = KEYRING.encrypt({"token": "clear"}, CONTEXT)["token"]
    for changed in [text[:end] for end in range(len(text))] + [text + more for more in ("=", "\n", "A", "AAAA", "é")]:
        assert KEYRING.decrypt({"token": changed}, CONTEXT) == {"token": changed}


def test_derived_key_encrypts_only_without_another_and_always_decrypts() -> None:
    derived = Keyring([], ["the SECRET_KEY of a service"])
    by_derived = derived.encrypt({"token": "clear"}, CONTEXT)
    assert by_derived["token"].startswith("enc:")
    both = Keyring(["a later key"], ["the SECRET_KEY of a service"])
    assert both.decrypt(by_derived, CONTEXT) == {"token": "clear"}
    by_both = both.encrypt({"token": "clear"}, CONTEXT)
    assert Keyring(["a later key"]).decrypt(by_both, CONTEXT) == {"token": "clear"}
    assert derived.decrypt(by_both, CONTEXT) == by_both
    assert Keyring([], ["another SECRET_KEY"]).decrypt(by_derived, CONTEXT) == by_derived
    assert Keyring([]).encrypt({"token": "clear"}, CONTEXT) == {"token": "clear"}


@pytest.mark.parametrize("keys", ["", " ", ",", " , "])
def test_config_without_key_is_not_changed(keys: str) -> None:
    keyring = Keyring(Settings(config_encryption_key=Secret(keys)).encryption_keys)
    config = {"api_key": "clear", "token": ["enc:zzz"]}
    assert keyring.encrypt(config, CONTEXT) == config
    assert keyring.decrypt(config, CONTEXT) == config
    assert not keyring.holds(config, CONTEXT)
    stored = KEYRING.encrypt(config, CONTEXT)
    assert keyring.decrypt(stored, CONTEXT) == stored
    assert not keyring.holds(stored, CONTEXT)


def test_holds_tells_whether_something_is_encrypted() -> None:
    assert KEYRING.holds(KEYRING.encrypt({"list": [{"token": "clear"}]}, CONTEXT), CONTEXT)
    assert not KEYRING.holds(KEYRING.encrypt({"name": "clear"}, CONTEXT), CONTEXT)
    assert not KEYRING.holds({}, CONTEXT)


def _strings(value: Any) -> Any:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)
