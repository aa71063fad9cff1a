/** Reads the content of messages, as `amplifier/transcripts/blocks.py`: blocks by their type or their members. */

import * as media from "./media";
import { type Block, isObject, isWithin, type Media, type Part, textOf } from "./parts";
import * as tools from "./tools";

const SIGNATURES = ["signature", "thoughtSignature", "thought_signature"];
const SEALED = ["encrypted_content", "data", "redactedContent"];
// members that a block with nothing but a text may have, too
const ASIDE = new Set(
  ["text", "type", "kind", "annotations", "citations", "cache_control", "metadata", "id", "logprobs", "role"].concat(
    ["thoughtSignature", "thought_signature", "state", "providerMetadata", "visibility", "index"], // of providers
  ),
);
const DATA = new Set(["kind", "data", "metadata"]);
const DOCUMENT = new Set(["data", "id"]);
const KINDS = ["type", "part_kind", "kind", "block_type", "content_type"];
const MARKS = new Set([
  "step-start",
  "step-finish",
  "step_start",
  "step_finish",
  "start",
  "finish",
  "snapshot",
  "cachePoint",
  "fallback",
]);
const MEDIA_TYPES = ["mediaType", "mimeType", "mime_type"];
const PLACES = ["url", "raw", "uri", "data"];

type Reader = (block: Block) => Part[];

/** Reads the content of a message: a text, a block, or a list of them. */
export function content(value: unknown): Part[] {
  if (value === null || value === undefined || value === "") return [];
  if (typeof value === "string") return [{ type: "text", text: value }];
  if (Array.isArray(value)) return value.flatMap(content);
  return isObject(value) ? block(value) : [{ type: "unknown", value }];
}

/** Reads a block. An unknown block is an Unknown part; a mark without content is no part. */
export function block(given: Block): Part[] {
  const key = KINDS.find((key) => key in given);
  const kind = key === undefined ? undefined : given[key];
  if (typeof kind !== "string") return untyped(given);
  const reader = READERS.get(kind);
  if (reader) return reader(given);
  if (MARKS.has(kind)) return [];
  const found = tools.read(kind, given, content);
  return found.length ? found : untyped(given);
}

/** Reads thinking: a text, a list of texts or blocks with texts, or a block of any provider. */
export function thinking(given: unknown): Part[] {
  if (!isObject(given)) {
    const text = texts(given);
    return text ? [{ type: "thinking", text, sealed: false }] : [];
  }
  const inner = given["reasoningText"] ?? null;
  const others = ["reasoning", "text", "content", "summary"].map((key) => texts(given[key]));
  const text = inner !== null ? texts(inner) : texts(given["thinking"]) || others.filter(Boolean).join("\n");
  const isSigned = SIGNATURES.some((key) => textOf((isObject(inner) ? inner : given)[key]));
  const sealed = SEALED.some((key) => textOf(given[key]));
  return text || isSigned || sealed ? [{ type: "thinking", text, sealed: sealed || (!text && isSigned) }] : [];
}

/** Returns a text, or the texts of a list of texts and blocks, a line each. */
function texts(value: unknown): string {
  if (typeof value === "string") return value;
  if (isObject(value))
    return texts(["text", "thinking", "value"].map((key) => value[key]).find((one) => one !== undefined));
  return Array.isArray(value) ? value.map(texts).filter(Boolean).join("\n") : "";
}

function said(given: Block): Part[] {
  if (given["thought"] === true) return thinking(given);
  const value = "text" in given ? given["text"] : (given["content"] ?? null);
  if (Array.isArray(value)) return content(value);
  if (typeof value !== "string" && !isObject(value)) return value === null ? [] : [{ type: "unknown", value: given }];
  const text = texts(value);
  return text ? [{ type: "text", text }] : [];
}

function refused({ refusal }: Block): Part[] {
  return typeof refusal === "string" && refusal ? [{ type: "refusal", text: refusal }] : [];
}

function file(given: Block): Part[] {
  const inner = given["document"];
  if (isObject(inner) && isWithin(inner, DOCUMENT) && "data" in inner) {
    const { data } = inner; // of Cohere
    return typeof data === "string" ? content(data) : [{ type: "unknown", value: data }];
  }
  return found(media.file(given), given);
}

function found(part: Media, given: Block): Part[] {
  if (!media.isEmpty(part)) return [part];
  const isBlank = Object.entries(given).every(([key, value]) => value === null || key === "type" || key === "detail");
  return isBlank ? [] : [{ type: "unknown", value: given }];
}

/** Reads what a provider kept of the messages before: in clear from Anthropic, sealed from OpenAI. */
function compacted(given: Block): Part[] {
  const text = textOf(given["content"]);
  return text ? [{ type: "text", text }] : thinking(given);
}

function data(given: Block): Part[] {
  return [{ type: "unknown", value: "data" in given ? given["data"] : given }];
}

/** Reads a block without a known type by its members, as Gemini, Bedrock, A2A and Ollama write them. */
function untyped(given: Block): Part[] {
  for (const [key, reader] of BY_MEMBER) if (isObject(given[key])) return reader(given);
  const parts = tools.untyped(given, content);
  if (parts.length) return parts;
  if (typeof given["text"] === "string" && (given["thought"] === true || isWithin(given, ASIDE))) return said(given);
  if (MEDIA_TYPES.some((key) => key in given) && PLACES.some((key) => key in given)) return file(given);
  if ("data" in given && isWithin(given, DATA)) {
    const value = given["data"]; // of AutoGen and A2A
    return typeof value === "string" ? [{ type: "image", media_type: null, url: null, data: value }] : data(given);
  }
  return Object.keys(given).length ? [{ type: "unknown", value: given }] : [];
}

const image: Reader = (given) => found(media.image(given), given);
const audio: Reader = (given) => found(media.audio(given), given);
const inside = (key: string, reader: (value: Block) => Part[]) => (given: Block) => reader(given[key] as Block);

const READERS = new Map<string, Reader>([
  ...each(["text", "input_text", "output_text", "summary_text", "user-prompt", "system-prompt"], said),
  ...each(["thinking", "reasoning", "redacted_thinking", "reasoning_text", "thinking_delta"], thinking),
  ...each(["reasoning.text", "reasoning.summary", "reasoning.encrypted"], thinking),
  ["refusal", refused],
  ...each(["image", "image_url", "image-url", "input_image", "computer_screenshot"], image),
  ...each(["file", "document", "input_file", "document_url", "search_result", "container_upload"], file),
  ...each(["source-url", "source", "resource", "resource_link", "video"], file),
  ...each(["binary", "document-url", "video-url", "web_search_result"], file),
  ...each(["audio", "input_audio", "output_audio", "audio-url", "audio_url"], audio),
  ["source-document", (given) => [media.file(given)]],
  ["compaction", compacted],
  ["data", data],
]);
const BY_MEMBER: [string, Reader][] = [
  ...each(["inlineData", "inline_data", "fileData", "file_data"], file),
  ["image", image],
  ["document", file],
  ["video", file],
  ["guardContent", inside("guardContent", (inner) => block("text" in inner ? { ...inner, type: "text" } : inner))],
  ["citationsContent", inside("citationsContent", (inner) => content(inner["content"]))],
  ["cachePoint", () => []],
  ["reasoningContent", inside("reasoningContent", thinking)],
  [
    "executableCode",
    inside("executableCode", (code) => [{ type: "call", id: null, name: "code_execution", arguments: code }]),
  ],
  ["json", inside("json", (value) => [{ type: "unknown", value }])],
];

function each(names: string[], reader: Reader): [string, Reader][] {
  return names.map((name) => [name, reader]);
}
