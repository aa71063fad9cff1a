/** Reads tool calls and their results, as `amplifier/transcripts/tool_blocks.py`: of all providers and frameworks. */

import { type Block, type Call, given, isObject, type Part, type Result, textOf } from "./parts";

export type Content = (value: unknown) => Part[];

const CALLS = new Set(
  ["tool_call", "tool_use", "tool-call", "toolCall", "function_call", "custom_tool_call", "function", "custom"].concat(
    ["server_tool_use", "mcp_tool_use", "mcp_call", "tool_search_call", "builtin-tool-call"], // at the provider
  ),
);
const RESULTS = new Set(
  ["tool_result", "tool-result", "tool-return", "retry-prompt", "toolResult", "tool_search_output"].concat(
    ["function_result", "builtin-tool-return"], // of frameworks
  ),
);
const OF_ITEMS = ["function_call", "custom_tool_call", "tool_search_call"];
const CALL_IDS = ["id", "call_id", "tool_call_id", "toolCallId", "tool_use_id", "toolUseId", "callID"];
const ITEM_CALL_IDS = ["call_id", "id"]; // an item of the Responses API has an id besides that of its call
const RESULT_IDS = ["tool_call_id", "tool_use_id", "call_id", "toolCallId", "toolUseId", "callID", "id"];
const NAMES = ["tool", "name", "tool_name", "toolName"];
const ARGUMENTS = ["arguments", "input", "args", "action", "operation"];
const OUTPUTS = ["output", "content", "result", "response", "outputs", "results", "tools", "error", "errorText"];
const OF_HOSTED = ["queries", "code", "action", "operation", "arguments", "input", "revised_prompt"];
const ANSWERS = ["output", "outputs", "result", "results", "error", "errorText"];
const WRAPPED = ["text", "json", "content", "error-text", "error-json"];

/** Reads a block of this type; an empty list if it is neither a call nor a result. `content` reads results. */
export function read(kind: string, block: Block, content: Content): Part[] {
  if (CALLS.has(kind)) {
    const ids = OF_ITEMS.includes(kind) ? ITEM_CALL_IDS : CALL_IDS;
    return [...listed(block, ids), ...(kind === "mcp_call" && hasOutput(block) ? [result(block, content)] : [])];
  }
  if (RESULTS.has(kind) || kind.endsWith("_call_output") || kind.endsWith("_tool_result"))
    return [result(block, content)];
  if (kind.endsWith("_call")) return item(kind, block, content); // web_search_call, code_interpreter_call, ...
  if (kind === "tool" || kind === "dynamic-tool" || kind.startsWith("tool-")) return withState(kind, block, content);
  return [];
}

/** Reads a block without a type; an empty list if it is neither a call nor a result. */
export function untyped(block: Block, content: Content): Part[] {
  for (const key of ["functionCall", "function_call", "toolUse", "tool_call"]) {
    const inner = block[key];
    if (isObject(inner)) return listed(inner);
  }
  for (const key of [
    "functionResponse",
    "function_response",
    "toolResult",
    "tool_call_result",
    "codeExecutionResult",
  ]) {
    const inner = block[key];
    if (isObject(inner)) return [result(inner, content)];
  }
  if ("call_id" in block && "content" in block) return [result(block, content)];
  return "name" in block && "arguments" in block ? listed(block) : [];
}

/** Reads the list of calls beside the content of a message. */
export function calls(given: unknown): Part[] {
  return Array.isArray(given) ? given.filter(isObject).flatMap((one) => listed(one)) : [];
}

/** Reads a result, as a block or as the members of a message. */
export function result(block: Block, content: Content): Result {
  const found = output(given(block, OUTPUTS), content);
  const { status } = block;
  const is_error =
    found.is_error ||
    block["is_error"] === true ||
    block["isError"] === true ||
    status === "error" ||
    status === "failed" ||
    block["part_kind"] === "retry-prompt" ||
    isSome(block["error"]) ||
    isSome(block["errorText"]);
  return { type: "result", call_id: idOf(block, RESULT_IDS), content: found.content, is_error, name: named(block) };
}

/** Reads arguments as an object. */
export function argumentsOf(given: unknown): Block {
  let found = given;
  if (typeof given === "string") {
    try {
      const parsed: unknown = JSON.parse(given);
      if (isObject(parsed)) found = parsed;
    } catch {
      // no JSON: shown as text
    }
  }
  if (isObject(found)) return found;
  const isBlank = found === null || found === undefined || (typeof found === "string" && !found.trim());
  return isBlank ? {} : { input: found };
}

/** Returns the name of the tool that a message or block names. */
export function named(block: Block): string | null {
  for (const key of NAMES) if (textOf(block[key])) return block[key] as string;
  return null;
}

/** Returns the id of the call that a message answers. */
export function identified(message: Block): string | null {
  return idOf(message, ["tool_call_id", "toolCallId"]);
}

/** Reads what a tool returned: a text, blocks, or any JSON. */
function output(value: unknown, content: Content): Pick<Result, "content" | "is_error"> {
  if (!isObject(value)) return { content: blocks(value, content), is_error: false };
  const kind = textOf(value["type"]) ?? "";
  if (WRAPPED.includes(kind) && "value" in value)
    return { content: output(value["value"], content).content, is_error: kind.startsWith("error") };
  return { content: blocks(value, content), is_error: kind.endsWith("_error") };
}

/** Reads content blocks. Data of a tool may look like other blocks: it stays whole. */
function blocks(value: unknown, content: Content): Part[] {
  const parts = content(value);
  if (!isSome(value) || typeof value !== "object") return parts;
  const hasTools = parts.some(({ type }) => type === "call" || type === "result");
  return hasTools || parts.every(({ type }) => type === "unknown") ? [{ type: "unknown", value }] : parts;
}

function listed(call: Block, ids = CALL_IDS): Part[] {
  const inner = [call["function"], call["custom"]].find(isObject) ?? {};
  const name = named(call) ?? named(inner) ?? (call["type"] === "tool_search_call" ? "tool_search_call" : null);
  if (name === null) return [{ type: "unknown", value: call }];
  const values = given(call, ARGUMENTS) ?? given(inner, ARGUMENTS);
  return [{ type: "call", id: idOf(call, ids), name, arguments: argumentsOf(values) }];
}

/** Reads a call of a tool that the Responses API has itself. The shell and the computer are the client's. */
function item(kind: string, block: Block, content: Content): Part[] {
  const name = kind.slice(0, -"_call".length);
  const values = given(block, OF_HOSTED);
  const call: Call = {
    type: "call",
    id: idOf(block, ITEM_CALL_IDS),
    name,
    arguments: isObject(values) ? values : values === null ? {} : { input: values },
  };
  if (name === "image_generation" && typeof block["result"] === "string") {
    const image: Part = { type: "image", media_type: null, url: null, data: block["result"] };
    return [call, { type: "result", call_id: call.id, content: [image], is_error: false, name }];
  }
  const isLocal = "call_id" in block || name === "local_shell";
  return isLocal || !hasOutput(block) ? [call] : [call, result(block, content)];
}

/** Reads a call with its result, as user interfaces keep them, of the Vercel AI SDK and of opencode. */
function withState(kind: string, block: Block, content: Content): Part[] {
  const inner = isObject(block["toolInvocation"]) ? block["toolInvocation"] : block;
  const state = isObject(inner["state"]) ? inner["state"] : inner;
  const name = named(inner) ?? kind.replace(/^tool-/, "");
  const id = idOf(inner, RESULT_IDS);
  const call: Call = { type: "call", id, name, arguments: argumentsOf(given(state, ARGUMENTS)) };
  return hasOutput(state) ? [call, { ...result(state, content), call_id: id, name }] : [call];
}

function hasOutput(block: Block): boolean {
  return given(block, ANSWERS) !== null;
}

function idOf(block: Block, keys: string[]): string | null {
  for (const key of keys) {
    const value = block[key];
    if (typeof value === "number" || (typeof value === "string" && value)) return String(value);
  }
  return null;
}

/** Returns whether a value says something, as Python sees it. */
function isSome(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  return isObject(value) ? Object.keys(value).length > 0 : Boolean(value);
}
