/** Reads a message of any known format, as `amplifier/transcripts/reader.py` does. Never throws. */

import * as blocks from "./blocks";
import { type Block, type Call, given, isObject, type Part, type Reading, type Role, textOf } from "./parts";
import * as tools from "./tools";

const ROLES = new Map<string, Role>([
  ...(["system", "developer", "user", "assistant", "function", "tool"] as const).map((role) => [role, role] as const),
  ...as("user", ["human", "humanmessage", "humanmessagechunk", "role_user", "request"]),
  ...as("assistant", ["ai", "model", "agent", "bot", "aimessage", "aimessagechunk", "role_agent"]),
  ...as("assistant", ["response", "reasoning", "chatbot", "tool-call"]),
  ...as("system", ["systemmessage"]),
  ...as("tool", ["toolmessage", "tool-response"]),
  ...as("function", ["functionmessage"]),
]);
const OF_ITEMS = new Map<string, Role>([
  ...as("assistant", ["reasoning", "compaction", "agent_message"]),
  ["message", "user"],
]);
const LANGCHAIN = ["human", "ai", "system", "tool", "function", "chat", "remove"];
const THOUGHTS = ["thinking_block", "thinking_text", "reasoning_details", "reasoning_content", "reasoning"].concat(
  ["thinking", "tool_plan", "thought"], // of Ollama, Cohere and AutoGen
);
const CONTENTS = ["content", "parts", "text", "blocks", "items"];
const ITEMS = ["_call", "_output", "tool_result", "tool_use"]; // ends of the types of messages that are blocks themselves

function as(role: Role, names: string[]): [string, Role][] {
  return names.map((name) => [name, role]);
}

/** Reads a message. One that is nested too deeply is an unknown value. */
export function read(message: Block): Reading {
  try {
    return readOf(message);
  } catch {
    return { role: null, parts: [{ type: "unknown", value: message }], author: null };
  }
}

function readOf(message: Block): Reading {
  const [inner, author] = unwrapped(message);
  const role = roleOf(inner);
  if (role === null)
    return { role, parts: Object.keys(message).length ? [{ type: "unknown", value: message }] : [], author: null };
  const parts = partsOf(inner, role);
  const isOfTool = role === "user" && parts.length > 0 && parts.every(({ type }) => type === "result");
  const named = isOfTool ? "tool" : role;
  return { role: named, parts, author: author ?? authorOf(inner, named) };
}

/** Returns the message within an entry of a session file or a framework, and the author that the entry names. */
function unwrapped(message: Block): [Block, string | null] {
  const { message: line, payload, kwargs, data, content, info, type, id, role, author, parts } = message;
  if (isObject(line) && ["role", "content", "parts"].some((key) => key in line)) return [{ role: type, ...line }, null]; // Claude Code
  if (isObject(payload) && type === "response_item") return [payload, null]; // Codex
  if (isObject(kwargs) && Array.isArray(id) && id.length)
    return [{ ...kwargs, role: "role" in kwargs ? kwargs["role"] : id.at(-1) }, null]; // LangChain
  if (isObject(data) && LANGCHAIN.includes(type as string))
    return [{ ...data, role: "role" in data ? data["role"] : type }, null];
  if (isObject(content) && Array.isArray(content["parts"]) && typeof role !== "string")
    return [{ ...content, role: textOf(content["role"]) ?? author }, textOf(author)]; // ADK
  if (isObject(info) && Array.isArray(parts)) return [{ ...info, parts }, null]; // opencode
  return [message, null];
}

/** Returns the role, of a message without one by its type. A role that nobody knows is a user's. */
function roleOf(message: Block): Role | null {
  const { role, type: kind, source } = message;
  if (typeof role === "string" && role) return ROLES.get(role.toLowerCase()) ?? "user";
  if (typeof source === "string" && "content" in message) {
    if (kind === "ToolCallExecutionEvent") return "tool"; // of AutoGen
    return source === "user" || source === "system" ? source : "assistant";
  }
  if ((message["kind"] === "request" || message["kind"] === "response") && Array.isArray(message["parts"]))
    return ROLES.get(message["kind"])!; // of pydantic-ai
  if (typeof kind !== "string") return CONTENTS.some((key) => key in message) ? "user" : null;
  if (LANGCHAIN.includes(kind))
    return "content" in message && !("sessionId" in message) ? (ROLES.get(kind) ?? "user") : null;
  if (ITEMS.some((end) => kind.endsWith(end)))
    return kind.endsWith("_output") || kind.endsWith("_result") ? "tool" : "assistant";
  return OF_ITEMS.get(kind) ?? null;
}

function authorOf(message: Block, role: Role): string | null {
  if (role === "tool" || role === "function" || isItem(message)) return null;
  const found = ["name", "source", "agent_name", "author"].map((key) => textOf(message[key]));
  return found.find((text) => text !== null) ?? null;
}

/** Reads the content and the members beside it: thinking, a refusal, a recording, calls. */
function partsOf(message: Block, role: Role): Part[] {
  if (isItem(message)) return blocks.block(message);
  const value = contentOf(message);
  if (role === "tool" || role === "function" || tools.identified(message) !== null) return returned(message, value);
  let parts = isThought(message) ? blocks.thinking(value) : blocks.content(value);
  if (!parts.some(({ type }) => type === "thinking")) parts = [...thoughts(message), ...parts];
  const { refusal, audio, images, toolInvocations } = message;
  if (typeof refusal === "string" && refusal) parts.push({ type: "refusal", text: refusal });
  if (isObject(audio))
    parts.push({ type: "audio", media_type: null, url: null, data: null, text: textOf(audio["transcript"]) });
  if (Array.isArray(toolInvocations) && !(message["parts"] as unknown[] | undefined)?.length) {
    const calls = toolInvocations.filter(isObject).map((one) => ({ type: "tool-invocation", toolInvocation: one }));
    parts.push(...blocks.content(calls));
  }
  if (Array.isArray(images))
    parts.push(
      ...blocks.content(
        images.map((one) => (typeof one === "string" ? { type: "image", data: one } : (one as unknown))),
      ),
    );
  const ids = parts.filter((part): part is Call => part.type === "call").flatMap(({ id }) => id ?? []);
  return [...parts, ...callsOf(message, new Set(ids))];
}

/** Returns whether a message is itself a block, such as an item of the Responses API. */
function isItem({ type }: Block): boolean {
  if (typeof type !== "string") return false;
  return type === "reasoning" || type === "compaction" || ITEMS.some((end) => type.endsWith(end));
}

/** Returns the content. Of a text beside parts, as some user interfaces keep it, only the parts count. */
function contentOf(message: Block): unknown {
  const { parts, content } = message;
  const isText = typeof content !== "object" || content === null;
  if (Array.isArray(parts) && parts.length && isText) return parts;
  return given(message, CONTENTS);
}

function isThought({ type, role }: Block): boolean {
  return type === "ThoughtEvent" || (typeof role === "string" && role.toLowerCase() === "reasoning");
}

/** Reads a message of a tool: its blocks that are results, or all of its content as one result. */
function returned(message: Block, value: unknown): Part[] {
  const call_id = tools.identified(message);
  const parts = Array.isArray(value) ? blocks.content(value) : [];
  if (call_id === null && parts.some(({ type }) => type === "result")) return parts;
  const whole = tools.result({ ...message, content: value, output: value }, blocks.content);
  return [{ ...whole, call_id, name: tools.named(message) }];
}

function thoughts(message: Block): Part[] {
  for (const key of THOUGHTS) {
    const value = message[key];
    const each = Array.isArray(value) ? value.flatMap(blocks.thinking) : value ? blocks.thinking(value) : [];
    if (each.length) return each;
  }
  return [];
}

/** Reads the calls beside the content. Those in the content with the same id are the same. */
function callsOf(message: Block, known: Set<string>): Part[] {
  const extra = isObject(message["additional_kwargs"]) ? message["additional_kwargs"] : {};
  const lists = [message["tool_calls"], message["toolCalls"], [message["function_call"]]];
  const parts: Part[] = [];
  for (const list of [...lists, extra["tool_calls"], [extra["function_call"]]]) {
    const found = tools.calls(list).filter((part) => part.type !== "call" || part.id === null || !known.has(part.id));
    for (const part of found) if (part.type === "call" && part.id !== null) known.add(part.id);
    parts.push(...found);
  }
  return parts;
}
