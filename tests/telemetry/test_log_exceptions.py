"""Exceptions in the log: Python's form, bounded, and nothing that PostgreSQL quotes of a row."""

import traceback

import psycopg
import pydantic
import pytest

from amplifier.telemetry.log_exceptions import cut, described


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """Returns an exception that was raised, with a traceback."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def test_form_is_that_of_python() -> None:
    error = raised(ValueError("second"), raised(KeyError("first")))
    assert described(error) == "".join(traceback.format_exception(error))
    try:
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904 - the context is what is tested
    except ValueError as caught:
        error = caught
    assert described(error) == "".join(traceback.format_exception(error))


def test_rows_are_not_shown() -> None:
    row = 'duplicate key value violates unique constraint "x"\nDETAIL:  Key (a)=(canary\ncanary) already exists.'
    assert described(psycopg.errors.UniqueViolation(row)) == (
        'psycopg.errors.UniqueViolation: duplicate key value violates unique constraint "x"\n'
    )
    assert "canary" not in described(raised(RuntimeError("x"), psycopg.DataError("bad\nLINE 1: select 'canary'\n  ^")))


def test_inputs_are_not_shown() -> None:
    class Message(pydantic.BaseModel):
        role: int

    with pytest.raises(pydantic.ValidationError) as failure:
        Message.model_validate({"role": "canary, input_type= canary"})
    text = described(failure.value)
    assert "role" in text
    assert "canary" not in text.rpartition("ValidationError: ")[2]


def test_members_of_groups_are_described() -> None:
    group = BaseExceptionGroup("several", [ValueError("one\nDETAIL: canary"), KeyError("two")])
    assert described(group).endswith("several (2 sub-exceptions)\nfirst of the group:\nValueError: one\n")


def test_long_ones_are_cut_in_the_middle() -> None:
    error: BaseException = raised(ValueError("z" * 100_000))
    for number in range(20):
        error = raised(RuntimeError(str(number)), error)
    text = described(error)
    assert len(text) < 13_000
    assert text.endswith("RuntimeError: 19\n")
    assert cut("a" * 5 + "b" * 5, 2, 3) == "aa\n[5 characters]\nbbb"


def test_unreadable_message_is_no_error() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    assert described(Odd()).endswith("Odd: its message cannot be read\n")


@pytest.mark.parametrize("text", ["", "short"])
def test_short_texts_stay(text: str) -> None:
    assert cut(text, 3, 2) == text
