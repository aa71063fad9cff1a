"""The rules by which the real APIs refuse requests, for the stub. Each API's are in a module of its own."""

from typing import Any

from tests.support import llm_rules_anthropic, llm_rules_openai

Body = dict[str, Any]


def refusal(api: str, body: Body) -> str | None:
    """Returns the error text with which the API answers 400, or None for a valid request."""
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        return "model and messages are required"
    rules = llm_rules_openai if api == "openai" else llm_rules_anthropic
    return next(rules.faults(body), None)
