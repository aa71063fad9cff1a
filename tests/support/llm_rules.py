"""The rules by which the real APIs refuse transcripts, for the stub."""

from typing import Any

Body = dict[str, Any]


def refusal(api: str, body: Body) -> str | None:
    """Returns the error text with which the API answers 400, or None for a valid request."""
    if not isinstance(body.get("model"), str) or not body.get("messages"):
        return "model and messages are required"
    return _openai(body["messages"]) if api == "openai" else _anthropic(body)


def _openai(messages: list[Body]) -> str | None:
    waiting: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                return f"messages[{index}]: role 'tool' must be a response to a preceding message with 'tool_calls'"
            waiting.remove(message["tool_call_id"])
            continue
        if waiting:
            return f"tool_call_ids did not have response messages: {', '.join(waiting)}"
        waiting = [call["id"] for call in message.get("tool_calls", [])]
    return f"tool_call_ids did not have response messages: {', '.join(waiting)}" if waiting else None


def _anthropic(body: Body) -> str | None:
    if not isinstance(body.get("max_tokens"), int):
        return "max_tokens: Field required"
    waiting: set[str] = set()
    for index, message in enumerate(body["messages"]):
        if message["role"] != ("user", "assistant")[index % 2]:
            return "messages: roles must alternate between user and assistant, and the first is user"
        parts = message["content"] if isinstance(message["content"], list) else []
        if not message["content"] or any(part["type"] == "text" and not part["text"].strip() for part in parts):
            return f"messages.{index}: text content blocks must be non-empty"
        results = {part["tool_use_id"] for part in parts if part["type"] == "tool_result"}
        if waiting - results:
            return f"messages.{index}: `tool_use` ids were found without `tool_result` blocks: {sorted(waiting)}"
        if results - waiting:
            return f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {sorted(results)}"
        waiting = {part["id"] for part in parts if part["type"] == "tool_use"}
    return f"`tool_use` ids were found without `tool_result` blocks: {sorted(waiting)}" if waiting else None
