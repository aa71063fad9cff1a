"""Reads tool calls and their results in the formats of all providers and frameworks.

A call and its result may stand in one block, as the calls that a provider executes itself.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from amplifier.transcripts.parts import Call, Image, Message, Part, Result, Unknown

Block = dict[str, Any]
Content = Callable[[Any], list[Part]]

_CALLS = {"tool_call", "tool_use", "tool-call", "toolCall", "function_call", "custom_tool_call", "function", "custom"}
_CALLS |= {"server_tool_use", "mcp_tool_use", "mcp_call", "tool_search_call", "builtin-tool-call"}
_RESULTS = {"tool_result", "tool-result", "tool-return", "retry-prompt", "toolResult", "tool_search_output"}
_RESULTS |= {"function_result", "builtin-tool-return"}
_AT_PROVIDER = {"server_tool_use", "mcp_tool_use", "mcp_call", "builtin-tool-call", "builtin-tool-return"}
_OWN = {"id", "tool", "arguments"}  # members of Amplifier's calls
_CALL_IDS = ("id", "call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "callID")
_ITEM_CALL_IDS = ("call_id", "id")  # an item of the Responses API has an id besides that of its call
_RESULT_IDS = ("tool_call_id", "tool_use_id", "call_id", "toolCallId", "toolUseId", "callID", "id")
_NAMES = ("tool", "name", "tool_name", "toolName")
_ARGUMENTS = ("arguments", "input", "args", "action", "operation")
_OUTPUTS = ("output", "content", "result", "response", "outputs", "results", "tools", "error", "errorText")
# what a call of a hosted tool was about
_OF_HOSTED = ("queries", "code", "action", "operation", "arguments", "input", "revised_prompt")


def read(kind: str, block: Block, content: Content) -> list[Part]:
    """Reads a block of this type; an empty list if it is neither a call nor a result. `content` reads results."""
    if kind in _CALLS:
        return [*_called(kind, block), *(_results(block, content) if kind == "mcp_call" and _has_output(block) else [])]
    if kind in _RESULTS or kind.endswith(("_call_output", "_tool_result")):
        is_hosted = kind.endswith("_tool_result") or kind in _AT_PROVIDER
        return [result(block, content, hosted=block if is_hosted and kind != "tool_result" else None)]
    if kind.endswith("_call"):  # web_search_call, code_interpreter_call, local_shell_call, ...
        return _item(kind, block, content)
    if kind in ("tool", "dynamic-tool") or kind.startswith("tool-"):
        return _with_state(kind, block, content)
    return []


def untyped(block: Block, content: Content) -> list[Part]:
    """Reads a block without a type; an empty list if it is neither a call nor a result."""
    for key in ("functionCall", "function_call", "toolUse", "tool_call"):
        if isinstance(inner := block.get(key), dict):
            return _listed(inner)
    for key in ("functionResponse", "function_response", "toolResult", "tool_call_result", "codeExecutionResult"):
        if isinstance(inner := block.get(key), dict):
            return [result(inner, content, hosted=block if key == "codeExecutionResult" else None)]
    if block.keys() >= {"call_id", "content"}:
        return [result(block, content)]
    return _listed(block) if block.keys() >= {"name", "arguments"} else []


def calls(listed: Any) -> list[Part]:
    """Reads the list of calls beside the content of a message."""
    items = listed if isinstance(listed, list) else []
    return [part for item in items if isinstance(item, dict) for part in _listed(item)]


def result(block: Block, content: Content, hosted: Block | None = None) -> Result:
    """Reads a result, as a block or as the members of a message."""
    value = next((block[key] for key in _OUTPUTS if block.get(key) is not None), None)
    parts, is_error = output(value, content)
    status = block.get("status")
    is_error = is_error or any(block.get(key) is True for key in ("is_error", "isError"))
    is_error = is_error or status in ("error", "failed") or block.get("part_kind") == "retry-prompt"
    is_error = is_error or bool(block.get("error") or block.get("errorText"))
    return Result(_id(block, _RESULT_IDS), parts, is_error, _name(block), hosted)


def output(value: Any, content: Content) -> tuple[list[Part], bool]:
    """Reads what a tool returned: a text, blocks, or any JSON. Returns its parts, and whether they are an error."""
    if not isinstance(value, dict):
        return _blocks(value, content), False
    kind = value.get("type")
    if isinstance(kind, str) and kind in ("text", "json", "content", "error-text", "error-json") and "value" in value:
        return output(value["value"], content)[0], kind.startswith("error")
    return _blocks(value, content), isinstance(kind, str) and kind.endswith("_error")


def _blocks(value: Any, content: Content) -> list[Part]:
    """Reads content blocks. Data of a tool may look like other blocks: it stays whole."""
    parts = content(value)
    if not value or not isinstance(value, list | dict):
        return parts
    is_data = any(isinstance(part, Call | Result) for part in parts) or all(isinstance(part, Unknown) for part in parts)
    return [Unknown(value)] if is_data else parts


def arguments(given: Any) -> dict[str, Any]:
    """Returns arguments as an object, in the order in which they were written."""
    if isinstance(given, str) and given.strip():
        try:
            parsed = msgspec.json.decode(given)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            parsed = given
        given = parsed if isinstance(parsed, dict) else given
    if isinstance(given, dict):
        return given
    return {} if given is None or given == "" or (isinstance(given, str) and not given.strip()) else {"input": given}


def named(message: Message) -> str | None:
    """Returns the name of the tool that a message or block names."""
    return _name(message)


def identified(message: Message) -> str | None:
    """Returns the id of the call that a message answers."""
    return _id(message, ("tool_call_id", "toolCallId"))


def _called(kind: str, block: Block) -> list[Part]:
    ids = _ITEM_CALL_IDS if kind in ("function_call", "custom_tool_call", "tool_search_call") else _CALL_IDS
    return _listed(block, block if kind in _AT_PROVIDER else None, ids)


def _listed(call: Block, hosted: Block | None = None, ids: tuple[str, ...] = _CALL_IDS) -> list[Part]:
    if call.keys() == _OWN:  # most calls in transcripts of agents: a tenth of the time
        identifier, name, given = call["id"], call["tool"], call["arguments"]
        if type(identifier) is str and identifier and type(name) is str and name and type(given) is dict:
            return [Call(identifier, name, given)]
    inner: Block = next((call[key] for key in ("function", "custom") if isinstance(call.get(key), dict)), {})
    name = _name(call) or _name(inner) or (str(call.get("type")) if call.get("type") == "tool_search_call" else None)
    if name is None:
        return [Unknown(call)]
    given = next((one[key] for one in (call, inner) for key in _ARGUMENTS if one.get(key) is not None), None)
    found = arguments(given)
    if isinstance(text := call.get("arguments_text"), str) and (written := arguments(text)) == found:
        found = written  # the same in the order of the model, which the database does not keep
    extra = call.get("extra_content")
    return [Call(_id(call, ids), name, found, hosted, extra if isinstance(extra, dict) else None)]


def _item(kind: str, block: Block, content: Content) -> list[Part]:
    """Reads a call of a tool that the Responses API has itself. The shell and the computer are the client's."""
    name = kind.removesuffix("_call")
    given = next((block[key] for key in _OF_HOSTED if block.get(key) is not None), None)
    given = given if isinstance(given, dict) else {} if given is None else {"input": given}
    is_local = "call_id" in block or name == "local_shell"
    call = Call(_id(block, _ITEM_CALL_IDS), name, given, None if is_local else block)
    if name == "image_generation" and isinstance(block.get("result"), str):
        return [call, Result(call.id, [Image(data=block["result"])], name=name, hosted=block)]
    return [call] if is_local or not _has_output(block) else [call, result(block, content, hosted=block)]


def _with_state(kind: str, block: Block, content: Content) -> list[Part]:
    """Reads a call with its result, as user interfaces keep them, of the Vercel AI SDK and of opencode."""
    inner = block.get("toolInvocation", block)
    inner = inner if isinstance(inner, dict) else block
    state = inner["state"] if isinstance(inner.get("state"), dict) else inner
    name = _name(inner) or kind.removeprefix("tool-")
    given = next((state[key] for key in _ARGUMENTS if state.get(key) is not None), None)
    call = Call(_id(inner, _RESULT_IDS), name, arguments(given))
    if not _has_output(state):
        return [call]
    answer = result(state, content)
    return [call, Result(call.id, answer.content, answer.is_error, name)]


def _results(block: Block, content: Content) -> list[Part]:
    return [result(block, content, hosted=block)]


def _has_output(block: Block) -> bool:
    return any(block.get(key) is not None for key in ("output", "outputs", "result", "results", "error", "errorText"))


def _id(block: Block, keys: tuple[str, ...]) -> str | None:
    given = (
        block[key]
        for key in keys
        if isinstance(block.get(key), str | int) and not isinstance(block[key], bool) and block[key] != ""
    )
    found = next(given, None)
    return None if found is None else str(found)


def _name(block: Block) -> str | None:
    return next((block[key] for key in _NAMES if isinstance(block.get(key), str) and block[key]), None)
