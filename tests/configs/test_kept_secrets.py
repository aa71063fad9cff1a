"""Secrets of a config that is written again keep their encrypted text as long as they mean the same."""

from amplifier.configs.encryption import Keyring

KEYRING, CONTEXT = Keyring(["the first key"]), "config-1"


def test_value_that_stays_keeps_its_text_in_its_place() -> None:
    clear = {"tools": [{"token": "a"}, {"token": 1, "name": "n"}], "secret": True, "api_key": "${KEY}"}
    former, again = (KEYRING.encrypt(clear, CONTEXT) for _ in range(2))
    assert again != former
    assert KEYRING.keep(again, former, CONTEXT) == former
    for other in (
        {"tools": [{"token": 1}, {"token": "a"}]},
        {"tools": {"token": "a"}, "secret": [True]},
        {"tools": [], "secret": "true"},
        {"secret": 1},
        {},
    ):
        assert KEYRING.keep(again, KEYRING.encrypt(other, CONTEXT), CONTEXT) == again
    longer = KEYRING.keep(again, {"tools": former["tools"][:1]}, CONTEXT)
    assert longer == again | {"tools": [former["tools"][0], again["tools"][1]]}


def test_text_under_another_key_than_the_first_is_not_kept() -> None:
    former = KEYRING.encrypt({"token": "clear"}, CONTEXT)
    both = Keyring(["a later key", "the first key"])
    again = both.encrypt({"token": "clear"}, CONTEXT)
    assert both.decrypt(former, CONTEXT) == both.decrypt(again, CONTEXT)
    assert both.keep(again, former, CONTEXT) == again
    assert KEYRING.keep(former, former, "config-2") == former
    assert KEYRING.keep({"token": "enc:x"}, former, CONTEXT) == {"token": "enc:x"}
