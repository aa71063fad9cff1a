"""Decides what follows from the reason for which a model ended its answer: `docs/providers.md` has the table.

An answer that is empty, cut off within a tool call again and again, filtered or refused never counts as complete.
"""

from typing import Any

from amplifier_core import ChatResponse
from amplifier_core.llm_errors import ContentFilterError, LLMError, ProviderUnavailableError

from amplifier.runtime.finish_reasons import normalised

_MOST_CUT = 3  # answers in a row that end within their calls
_EMPTY = {
    "length": "The model reached its limit of tokens before it answered: raise max_tokens of the provider, or ask for "
    "less",
    "tool_calls": "The model called tools in every round that max_iterations allows, and gave no answer: send another "
    "message, or raise max_iterations",
}


class IncompleteAnswerError(LLMError):  # type: ignore[misc]
    """The model ended its answer before there was one."""


class RefusalError(LLMError):  # type: ignore[misc]
    """The model refused to answer."""


class Endings:
    """Checks the answers of one turn, in order."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._cut = 0  # answers in a row of whose calls none could be executed

    def check(self, response: ChatResponse, text: str, calls: list[Any]) -> str | None:
        """Returns the reason in the vocabulary of the service. `calls` are those that are about to be executed.

        Raises the error of amplifier-core with which the turn fails, if the answer is none.
        """
        reason = normalised(response.finish_reason)
        if reason == "content_filter":
            raise ContentFilterError(self._told("its filter of contents ended the answer"), provider=self._provider)
        if reason == "error":
            raise ProviderUnavailableError(self._told("an error ended the answer"), provider=self._provider)
        if calls:
            self._check_calls(calls)
        elif reason != "pause_turn" and not text.strip():
            raise self._missing(reason, bool(response.tool_calls))
        return reason

    def _check_calls(self, calls: list[Any]) -> None:
        self._cut = self._cut + 1 if all(getattr(call, "is_cut", False) for call in calls) else 0
        if self._cut >= _MOST_CUT:
            text = "The model reached its limit of tokens within a tool call, again and again: raise max_tokens"
            raise IncompleteAnswerError(text, provider=self._provider)

    def _missing(self, reason: str | None, has_calls: bool) -> LLMError:
        """Returns the error of an answer without text."""
        if reason == "refusal":
            return RefusalError(self._told("the model refused to answer"), provider=self._provider)
        empty = "The model gave an empty answer: send the message again, or another one"
        text = _EMPTY.get("tool_calls" if has_calls else reason or "", empty)
        return IncompleteAnswerError(text, provider=self._provider)

    def _told(self, what: str) -> str:
        return f"The provider {self._provider} says that {what}"
