"""Makes the smallest conversation around one message, and returns what each provider is sent of it."""

from typing import Any

from amplifier.runtime.modules.model_requests import Requests
from amplifier.runtime.modules.providers import anthropic_cache, anthropic_messages, openai_messages
from amplifier.runtime.modules.providers.names import Names
from amplifier.runtime.modules.providers.openai_messages import Accepted
from amplifier.transcripts.parts import Call, Result
from amplifier.transcripts.reader import read

Message = dict[str, Any]

BEGIN, END = "Begin.", "Go on."
LOOSE = "a call"  # the tool of a result that names none


def around(message: Message) -> list[Message]:
    """Returns a conversation with the message, the calls that its results need, and the results of its calls."""
    parts = read(message).parts
    calls = [part for part in parts if isinstance(part, Call) and part.hosted is None]
    results = [part for part in parts if isinstance(part, Result) and part.hosted is None]
    given = {call.id for call in calls}
    open_results = [result for result in results if result.call_id not in given] if not calls else []
    unanswered = [] if results else calls
    before = [
        {"id": one.call_id or f"loose_{n}", "tool": one.name or LOOSE, "arguments": {}}
        for n, one in enumerate(open_results)
    ]
    after = [{"role": "tool", "tool_call_id": call.id, "name": call.name, "content": "done"} for call in unanswered]
    conversation: list[Message] = [{"role": "user", "content": BEGIN}]
    if before:
        conversation.append({"role": "assistant", "content": "", "tool_calls": before})
    return [*conversation, message, *after, {"role": "user", "content": END}]


def bodies(messages: list[Message]) -> dict[str, dict[str, Any]]:
    """Returns what the messages are for each provider, as a request that its rules can judge."""
    core = Requests([]).request(messages, [], False).messages
    names = Names([])
    system, converted = anthropic_messages.convert(core, names)
    tools = anthropic_messages.describe_called(names)
    anthropic_cache.mark(tools, system, converted, automatic=False)
    anthropic = {"system": system, "messages": converted, "max_tokens": 1} | ({"tools": tools} if tools else {})
    openai = {"messages": openai_messages.convert(core, Names([]), Accepted(developer=True, audio=True))}
    return {"anthropic": anthropic | {"model": "m"}, "openai": openai | {"model": "m"}}


def sent(message: Message) -> dict[str, Any]:
    """Returns what each provider is sent of a message, without the messages around it that are always the same."""
    made = bodies(around(message))
    openai, anthropic = made["openai"]["messages"][1:-1], made["anthropic"]["messages"]
    anthropic[0]["content"] = anthropic[0]["content"][1:]
    anthropic[-1]["content"] = anthropic[-1]["content"][:-1]
    kept = [one for one in anthropic if one["content"]]
    system = {"system": made["anthropic"]["system"]} if made["anthropic"]["system"] else {}
    return {"openai": openai, "anthropic": {**system, "messages": kept}}
