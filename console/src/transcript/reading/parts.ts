/** The typed parts of messages, as `amplifier/transcripts/parts.py` has them: what the page shows of each format. */

export type Block = Record<string, unknown>;

export type Role = "system" | "developer" | "user" | "assistant" | "function" | "tool";

export interface Text {
  type: "text";
  text: string;
}

/** Something thought; `sealed` if only its provider can read it. */
export interface Thinking {
  type: "thinking";
  text: string;
  sealed: boolean;
}

export interface Call {
  type: "call";
  id: string | null;
  name: string;
  arguments: Block;
}

/** The result of the call with this id or, without an id, of a call of the tool with this name. */
export interface Result {
  type: "result";
  call_id: string | null;
  content: Part[];
  is_error: boolean;
  name: string | null;
}

/** An image, a document or a recording: by its address, as base64, or by an id that only its provider knows. */
export interface Media {
  type: "image" | "file" | "audio";
  media_type: string | null;
  url: string | null;
  data: string | null;
  file_id?: string | null;
  name?: string | null;
  /** The content of a document that is given as text, or what is said in a recording. */
  text?: string | null;
}

export interface Refusal {
  type: "refusal";
  text: string;
}

/** A JSON value of no known format. */
export interface Unknown {
  type: "unknown";
  value: unknown;
}

export type Part = Text | Thinking | Call | Result | Media | Refusal | Unknown;

/** A message as it was understood. `role` is null for an entry that is no part of the conversation. */
export interface Reading {
  role: Role | null;
  parts: Part[];
  author: string | null;
}

/** Returns whether a value is a JSON object. */
export function isObject(value: unknown): value is Block {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns a text that is not empty, or null. */
export function textOf(value: unknown): string | null {
  return typeof value === "string" && value ? value : null;
}

/** Returns the first value under these keys that is not null. */
export function given(block: Block, keys: readonly string[]): unknown {
  for (const key of keys) if (block[key] !== undefined && block[key] !== null) return block[key];
  return null;
}

/** Returns whether all keys of a block are among these. */
export function isWithin(block: Block, keys: ReadonlySet<string>): boolean {
  return Object.keys(block).every((key) => keys.has(key));
}
