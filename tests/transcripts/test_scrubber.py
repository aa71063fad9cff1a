"""REDACT replaces keys and addresses in all texts of a JSON document, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amplifier.errors import Unavailable
from amplifier.transcripts import scrubber
from amplifier.transcripts.scrubber import Scrubber

pytest.importorskip("re2")

BOTH = Scrubber(frozenset({"keys", "emails"}))
B64 = "MIIEvQIBADANBgkqhkiG9w0BAQ" * 4
FOUND = {
    "amplifier-key": [f"app_0123456789abcdef_{'a-Z_9' * 8}abc"],
    "anthropic-key": [f"sk-ant-api03-{'aB3-' * 12}"],
    "aws-key": ["AKIAIOSFODNN7EXAMPLE", f"aws_secret_access_key = {'a/+B' * 10}"],
    "azure-storage-key": [f"AccountKey={'a' * 86}=="],
    "bearer-token": [f"Authorization: Bearer {'abc.DEF-' * 4}"],
    "discord-token": [f"M{'aB3-' * 6}.aB3_xY.{'aB3' * 9}"],
    "email": ["ada@example.org", "a.b+tag@mail.ex-ample.co.uk"],
    "github-token": [f"ghp_{'a1' * 18}", f"github_pat_{'A1b2' * 8}"],
    "gitlab-token": [f"glpat-{'x' * 20}"],
    "google-key": [f"AIza{'a1-_B' * 7}"],
    "huggingface-token": [f"hf_{'aB' * 17}"],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0aa.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"],
    "npm-token": [f"npm_{'aB3' * 12}"],
    "openai-key": [f"sk-proj-{'aB3_' * 10}", f"sk-{'aB3' * 16}"],
    "password": ["postgresql://owner:hunter22@db.internal/main"],
    "private-key": [
        f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\r\n{B64}",
    ],
    "slack-token": ["xoxb-123456789012-abcdef"],
    "stripe-key": [f"sk_live_{'a1' * 12}"],
}
CASES = [(name, text) for name, texts in FOUND.items() for text in texts]
PLAIN = [
    "The quick brown fox jumps over the lazy dog.",
    "@here, e-mail me; see user@localhost, key = value, sk-learn, eyJ, AKIA, Bearer of bad news",
    "https://example.org:8080/a?b=c#d and git@github:owner/name",
    "0123456789abcdef0123456789abcdef01234567, 3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "call_AbCdEfGhIjKlMnOpQrStUvWx toolu_01A09q90qw90lq917835lq9",
]


async def scrubbed(value: Any, scrubber: Scrubber = BOTH, **form: Any) -> Any:
    return json.loads(await scrubber.json(json.dumps(value, **form).encode()))


@pytest.mark.parametrize(("name", "text"), CASES)
@pytest.mark.parametrize("form", [{}, {"ensure_ascii": False}, {"indent": 1}])
async def test_secret_is_replaced_wherever_it_stands(name: str, text: str, form: dict[str, Any]) -> None:
    mark = f"[redacted: {name}]"
    for before, after in (
        ("", ""),
        ("first line\n", " and more"),
        ('say "', '"'),
        ("\u00e9 ", "\u00e9"),
        ("\\ ", "\\"),
    ):
        if text.startswith("-----") and "END" not in text:
            after = ""
        found = await scrubbed({"content": [{"text": before + text + after}], text: 1, "other": "stays"}, **form)
        shown = found["content"][0]["text"]
        assert text not in json.dumps(found)
        assert mark in shown
        assert shown.startswith(before)
        assert shown.endswith(after)
        assert found["other"] == "stays"


@pytest.mark.parametrize("text", PLAIN)
async def test_other_text_stays(text: str) -> None:
    assert await scrubbed({"content": text}) == {"content": text}


async def test_escapes_hide_nothing() -> None:
    given = rb'{"a":"ada\u0040example.org","b":"https:\/\/u:hunter22@h\/x","c":"\nAKIAIOSFODNN7EXAMPLE\t"}'
    shown = json.loads(await BOTH.json(given))
    assert shown == {"a": "[redacted: email]", "b": "https[redacted: password]h/x", "c": "\n[redacted: aws-key]\t"}


async def test_document_keeps_numbers_order_and_repeated_keys() -> None:
    given = (
        b'{ "n" : 1.0000000000000000000001, "n" : 1e400, "m": "a@b.org" , "u": "\\ud800 \\u0000 \\u0022 \\\\u0041" }'
    )
    assert await BOTH.json(given) == given.replace(b"a@b.org", b"[redacted: email]")


async def test_secrets_that_overlap_are_replaced_once() -> None:
    text = f"Bearer sk-ant-api03-{'aB3-' * 12}a@b.org"
    assert await scrubbed(text) == "[redacted: bearer-token]"


async def test_sets_are_chosen() -> None:
    text = "ada@example.org AKIAIOSFODNN7EXAMPLE"
    assert await scrubbed(text, Scrubber(frozenset({"keys"}))) == "ada@example.org [redacted: aws-key]"
    assert await scrubbed(text, Scrubber(frozenset({"emails"}))) == "[redacted: email] AKIAIOSFODNN7EXAMPLE"
    assert await scrubbed(text, Scrubber(frozenset())) == text


async def test_large_documents_are_scrubbed_alike() -> None:
    many = [{"content": f"{number} ada@example.org " + "x" * 100} for number in range(2000)]
    found = await scrubbed(many)
    assert [one["content"] for one in found] == [f"{n} [redacted: email] " + "x" * 100 for n in range(2000)]


ODD = st.text(st.characters(exclude_categories=[])) | st.text('\\"/@.-: \n\u00e9')
JSON = st.recursive(ODD | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ODD, inner))


@pytest.mark.slow
@given(JSON, st.sampled_from([text for _, text in CASES if not text.startswith("---")]), st.booleans())
async def test_any_document_stays_valid_and_means_the_same(value: Any, text: str, escaped: bool) -> None:
    given = [value, f" {text} "]
    document = json.dumps(given, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    document = document.replace(b"\xed", b"\\u00ed") if not escaped else document
    before = json.loads(document.decode("utf-8", "replace"))
    after = json.loads((await BOTH.json(document)).decode("utf-8", "replace"))
    assert text not in after[1]
    if json.loads(await BOTH.json(json.dumps(before[0]).encode())) == before[0]:
        assert after[0] == before[0]


async def test_large_document_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrubber, "_PATIENCE", 0.05)
    busy = Scrubber(frozenset({"emails"}))
    await busy._turns.take("another user")
    with pytest.raises(Unavailable, match="Other large messages"):
        await scrubbed("x" * 100_000, busy)
    assert await scrubbed("ada@example.org", busy) == "[redacted: email]", "a small one needs no turn"
    busy._turns.give_back("another user")
    assert await scrubbed("x" * 100_000, busy) == "x" * 100_000
