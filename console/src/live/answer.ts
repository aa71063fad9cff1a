/** What an agent is saying and doing now, put together from events that are never replayed. */

import type { LiveEvent } from "../api/follow";

/** A text of the model that is not in the transcript yet. */
export interface Said {
  kind: "text" | "thinking";
  id: string;
  text: string;
}

/** A call of a tool: its arguments are written, it runs, or it has run. */
export interface Used {
  kind: "tool";
  id: string;
  name: string;
  state: "written" | "running" | "done" | "failed";
  input: string;
}

export type Part = Said | Used;

/** The answer in progress. `late` says that its beginning may be missing, because the page was opened in the middle. */
export interface Answer {
  runId: string;
  late: boolean;
  parts: readonly Part[];
}

/** Returns the answer of a run at its beginning. */
export function begun(runId: string, late = false): Answer {
  return { runId, late, parts: [] };
}

/** Returns the answer after an event of the agent. */
export function grown(answer: Answer, { type, data }: LiveEvent): Answer {
  if (type === "llm:stream_block_delta") return said(answer, data);
  if (type === "llm:stream_block_start" && data.block_type === "tool_call") return named(answer, data);
  if (type === "tool:pre") return used(answer, data, "running");
  if (type === "tool:post") return used(answer, data, "done");
  if (type === "tool:error") return used(answer, data, "failed");
  return answer;
}

/** Returns the answer after one of its messages came into the transcript: what that shows is left out here. */
export function settled(answer: Answer, message: Record<string, unknown>): Answer {
  const id = message["tool_call_id"];
  if (message["role"] === "user" || message["role"] === "system") return answer;
  const left = answer.parts.filter((part) => part.kind === "tool" && part.state !== "written" && part.id !== id);
  return { ...answer, late: false, parts: left };
}

/** Returns the id of a block: no two requests of a run share one. */
function idOf(data: Record<string, unknown>): string {
  return `${data["request_id"]}:${data["block_index"]}`;
}

function said(answer: Answer, data: Record<string, any>): Answer {
  const id = idOf(data);
  const text = String(data["text"] ?? "");
  const known = answer.parts.find((part) => part.id === id);
  if (known?.kind === "tool") return put(answer, { ...known, input: known.input + text });
  if (known) return put(answer, { ...known, text: known.text + text });
  if (data["block_type"] === "tool_call") return named(answer, data);
  return put(answer, { kind: data["block_type"] === "thinking" ? "thinking" : "text", id, text });
}

function named(answer: Answer, data: Record<string, any>): Answer {
  return put(answer, { kind: "tool", id: idOf(data), name: data["name"] ?? "a tool", state: "written", input: "" });
}

function used(answer: Answer, data: Record<string, any>, state: Used["state"]): Answer {
  const given = data["tool_input"];
  const input = given === undefined ? "" : JSON.stringify(given);
  return put(answer, { kind: "tool", id: data["tool_call_id"], name: data["tool_name"], state, input });
}

/** Returns the answer with a part in the place of the former one, or at the end. */
function put(answer: Answer, part: Part): Answer {
  const at = answer.parts.findIndex((one) => one.id === part.id);
  const parts = at < 0 ? [...answer.parts, part] : answer.parts.with(at, part);
  return { ...answer, parts };
}
