"""The kinds of faults that a diagnosis may find, which providers refuse a transcript for each, and what to do."""

from typing import Literal

import msgspec

Provider = Literal["anthropic", "openai"]
Problem = Literal[
    "missing_result",
    "misplaced_result",
    "unknown_result",
    "duplicate_result",
    "text_between_results",
    "unfinished_turn",
    "placeholder_answer",
    "repeated_id",
    "unusable_id",
    "unusable_name",
    "unsendable_part",
    "blank_message",
    "no_message",
]

BOTH: tuple[Provider, ...] = ("anthropic", "openai")
ANTHROPIC: tuple[Provider, ...] = ("anthropic",)
OPENAI: tuple[Provider, ...] = ("openai",)
_REPAIRS: tuple[Problem, ...] = ("missing_result", "misplaced_result")
_NOTHING = "nothing needs to be done, models are"
_ADVICE: dict[Problem, str] = {
    "missing_result": "The call has no result: a repair adds one that says so.",
    "misplaced_result": "The result does not stand right behind its call, in their order: a repair moves it there.",
    "unknown_result": f"No call has this id: {_NOTHING} not sent the result.",
    "duplicate_result": f"The call has another result: {_NOTHING} not sent this one.",
    "text_between_results": f"A text stands before the last result: {_NOTHING} sent it after the results.",
    "unfinished_turn": f"The turn ends without an assistant's answer: {_NOTHING} sent a note that says so.",
    "placeholder_answer": f"The service wrote this, not the assistant: {_NOTHING} not sent it.",
    "repeated_id": f"An earlier call has this id: {_NOTHING} sent another one.",
    "unusable_id": f"The call's id is too long, or not of a-z, A-Z, 0-9, _ and -: {_NOTHING} sent another one.",
    "unusable_name": f"The tool's name is too long, or not of a-z, A-Z, 0-9, _ and -: {_NOTHING} sent another one.",
    "unsendable_part": f"An image, file or recording cannot be sent: {_NOTHING} sent a note that names it.",
    "blank_message": f"The message says nothing: {_NOTHING} not sent it.",
    "no_message": f"This is no message of the conversation: {_NOTHING} not sent it.",
}


class Finding(msgspec.Struct, frozen=True):
    """A fault of the message at `index`, in turn `turn` (0 before the first turn), and what to do about it.

    `providers` are those that refuse the transcript for it if they are sent it as it is.
    """

    problem: Problem
    index: int
    tool_call_id: str | None
    turn: int
    providers: tuple[Provider, ...]
    detail: str

    @property
    def needs_repair(self) -> bool:
        """True if a repair must change the transcript. Other faults are only put right in what models receive."""
        return self.problem in _REPAIRS


def finding(
    problem: Problem, index: int, call_id: str | None, turn: int, providers: tuple[Provider, ...] = BOTH
) -> Finding:
    """Returns a finding with the advice for its problem."""
    return Finding(problem, index, call_id, turn, providers, _ADVICE[problem])
