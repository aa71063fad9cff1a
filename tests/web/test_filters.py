"""Tags and times as parameters: what they may mean, how they may be written, and what is refused."""

import json
from datetime import UTC, datetime

import pytest

from amplifier.errors import Problem
from amplifier.web.filters import period, tag_filter, utc

TEN = datetime(2024, 5, 20, 10, tzinfo=UTC)
NAMED = "must be a time like 2024-05-20T10:00Z or 2024-05-20T10:00:00.5+02:00, not "


@pytest.mark.parametrize(
    ("tags", "readings"),
    [
        (None, {}),
        (["team:blue"], {"team": "blue"}),
        (["team:"], {"team": ""}),
        (["a:b:c"], [{"a": "b:c"}, {"a:b": "c"}]),
        ([":a:b"], {":a": "b"}),
        (["a::b"], [{"a": ":b"}, {"a:": "b"}]),
        (["a:b:c", "d:e"], [{"a": "b:c", "d": "e"}, {"a:b": "c", "d": "e"}]),
        (["a:b:c", "a:x"], {"a:b": "c", "a": "x"}),
        (["a:b:c", "a:b:c"], [{"a": "b:c"}, {"a:b": "c"}]),
        (["k" * 101 + ":v"], {"k" * 101: "v"}),
        (["k:" + ":" * 400], [{"k" + ":" * n: ":" * (400 - n)} for n in range(100)]),
    ],
)
def test_each_colon_may_end_the_key(tags: list[str] | None, readings: object) -> None:
    assert json.loads(tag_filter(tags)) == readings


@pytest.mark.parametrize(
    ("tags", "detail"),
    [
        (["red"], "must be of the form key:value, not 'red'"),
        (["a:b", ":red"], "must be of the form key:value, not ':red'"),
        (["x" * 200], f"must be of the form key:value, not '{'x' * 100}…'"),
        (["team:a", "size:s", "team:b"], "team cannot have two values at once"),
        (
            ["a:1:2:3:4:5:6:7:8:9:10", "b:1:2:3:4:5:6:7:8:9:10:11"],
            "these have too many colons to try each as the one between key and value; give fewer tags",
        ),
    ],
)
def test_wrong_tag_is_named(tags: list[str], detail: str) -> None:
    with pytest.raises(Problem) as caught:
        tag_filter(tags)
    assert caught.value.detail == f"tag: {detail}"
    assert caught.value.members["errors"] == [{"field": "tag", "detail": detail}]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-20T10:00:00Z", "2024-05-20T10:00Z", "2024-05-20T10:00", "2024-05-20t10:00z", "2024-05-20 10:00"),
        *("2024-05-20T12:00+02:00", "2024-05-20T12:00 02:00", "2024-05-20T12:00:00.000 0200", "2024-05-20 12:00 0200"),
        *("2024-05-20T08:30-01:30", "2024-05-20T10:00:00.0000000", "1716199200"),
    ],
)
def test_times_in_each_form(text: str) -> None:
    assert utc("as_of", text) == TEN


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-20", "2024-05-20T10", "2024-05-20T10Z", "10:00", "2024-05-20T24:00Z", "2024-13-01T10:00Z"),
        *("2024-05-20T10:0Z", "2024-05-20T10:00:Z", "2024-05-20T10:00 Z", "2024-05-20T10:00+02", "T10:00Z", "\x00"),
        *("٢٠٢٤-05-20T10:00Z", "2024-05-20T10:00Z\n", "2024-W21-1T10:00Z", "x"),
    ],
)
def test_wrong_time_is_answered_with_the_form(text: str) -> None:
    with pytest.raises(Problem) as caught:
        utc("created_after", text)
    assert caught.value.detail == f"created_after: {NAMED}'{text}'"
    assert caught.value.members["errors"] == [{"field": "created_after", "detail": f"{NAMED}'{text}'"}]


def test_time_out_of_range_is_refused() -> None:
    for text in ("0001-01-01T00:00+14:00", "9999-12-31T23:59:59-14:00"):
        with pytest.raises(Problem, match="as_of: out of range"):
            utc("as_of", text)


def test_period_must_not_end_before_it_begins() -> None:
    whole = {"created_after": TEN, "created_before": TEN}
    assert period("created", "2024-05-20T10:00Z", "2024-05-20T12:00+02:00") == whole
    with pytest.raises(Problem, match="created_before: must not be earlier than created_after"):
        period("created", "2024-05-20T10:00Z", "2024-05-20T12:00+02:01")
