/** Messages of a session as UI messages of the AI SDK, whether an agent wrote them or they were stored as UI messages. */

import type { UIMessage } from "ai";
import type { openapi } from "./openapi-names.js";
import type { Message } from "./session.js";

/** Text, reasoning and calls of an assistant's message. */
export interface Said {
  text: string;
  reasoning: string;
  calls: { toolCallId: string; toolName: string; input: unknown }[];
}

/** Returns the id of a user's message, and that of the answer to it. */
export const idOf = (seq: number): string => `message-${seq}`;
export const answerIdOf = (seq: number): string => `answer-${seq}`;

/** Returns the UI messages of a transcript. All messages of the agent between two of a user are one UI message. */
export function uiMessages<T extends UIMessage = UIMessage>(entries: Iterable<openapi.Entry>): T[] {
  const found: UIMessage[] = [];
  let answer: UIMessage | null = null;
  let asked = 0;
  for (const { seq, message } of entries) {
    if (isUIMessage(message)) {
      found.push(message);
      answer = null;
    } else if (message["role"] === "user") {
      found.push({ id: idOf(seq), role: "user", parts: [{ type: "text", text: textOf(message["content"]) }] });
      answer = null;
      asked = seq;
    } else if (message["role"] === "assistant") {
      if (!answer) found.push((answer = { id: answerIdOf(asked), role: "assistant", parts: [] }));
      answer.parts.push(...partsOf(saidIn(message)));
    } else if (message["role"] === "tool" && answer) {
      addResult(answer, message);
    }
  }
  return found as T[];
}

/** Returns whether a message was stored as a UI message. */
export function isUIMessage(message: object): message is UIMessage {
  const { id, role, parts } = message as Partial<UIMessage>;
  return typeof id === "string" && typeof role === "string" && Array.isArray(parts);
}

/** Returns the texts of a message's content. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  return blocksOf(content)
    .map((block) => (block["type"] === "text" ? String(block["text"]) : ""))
    .join("");
}

/** Returns text, reasoning and calls of an assistant's message. */
export function saidIn(message: Message): Said {
  const blocks = blocksOf(message["content"]);
  const thoughts = blocks.filter((block) => block["type"] === "thinking").map((block) => String(block["thinking"]));
  const listed = blocksOf(message["tool_calls"]);
  const calls = listed.length ? listed : blocks.filter((block) => block["type"] === "tool_call");
  return {
    text: textOf(message["content"]),
    reasoning: thoughts.join(""),
    calls: calls.map((call) => ({
      toolCallId: String(call["id"]),
      toolName: String(call["tool"] ?? call["name"]),
      input: call["arguments"] ?? call["input"] ?? {},
    })),
  };
}

/** Returns the value that a tool's message carries: JSON where its text is JSON. */
export function resultOf(message: Message): { toolCallId: string; output: unknown } {
  const text = textOf(message["content"]);
  const toolCallId = String(message["tool_call_id"]);
  try {
    return { toolCallId, output: JSON.parse(text) };
  } catch {
    return { toolCallId, output: text };
  }
}

function partsOf({ text, reasoning, calls }: Said): UIMessage["parts"] {
  return [
    { type: "step-start" },
    ...(reasoning ? [{ type: "reasoning" as const, text: reasoning, state: "done" as const }] : []),
    ...(text ? [{ type: "text" as const, text, state: "done" as const }] : []),
    ...calls.map((call) => ({ type: "dynamic-tool" as const, state: "input-available" as const, ...call })),
  ];
}

function addResult(answer: UIMessage, message: Message): void {
  const { toolCallId, output } = resultOf(message);
  answer.parts = answer.parts.map((part) => {
    if (part.type !== "dynamic-tool" || part.toolCallId !== toolCallId) return part;
    const { toolName, input } = part;
    return { type: "dynamic-tool", toolCallId, toolName, input, state: "output-available", output };
  });
}

function blocksOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter((block) => typeof block === "object" && block !== null) : [];
}
