/** Messages as text: for the clipboard, and as Markdown for a file. */

import { json } from "./json";
import type { Call, Part, Reading, Result } from "./reading/parts";
import type { Row } from "./rows";
import { outcomeOf } from "./results";

/** Returns what a message says, without calls and thinking if it says anything. */
export function plainText({ parts }: Reading): string {
  const said = parts.map(textOf).filter(Boolean);
  return said.length ? said.join("\n\n") : parts.map((part) => other(part)).join("\n\n");
}

function textOf(part: Part): string {
  if (part.type === "text" || part.type === "refusal") return part.text;
  return part.type === "audio" ? (part.text ?? "") : "";
}

function other(part: Part): string {
  switch (part.type) {
    case "thinking":
      return part.text;
    case "call":
      return `${part.name}(${json(part.arguments)})`;
    case "result":
      return resultText(part);
    case "unknown":
      return typeof part.value === "string" ? part.value : json(part.value);
    case "text":
    case "refusal":
      return part.text;
    default:
      return part.text ?? part.name ?? part.url ?? part.type;
  }
}

function resultText(result: Result): string {
  return outcomeOf(result).text ?? result.content.map((part) => textOf(part) || other(part)).join("\n");
}

/** Returns a message as Markdown, with the results of its calls. */
export function markdownOf(row: Row, speaker: string): string {
  const { entry, reading } = row;
  const about = [entry.created_at, entry.author_app_id, entry.seq === null ? "" : `#${entry.seq}`].filter(Boolean);
  const pieces = reading.parts.filter((part) => !row.folded.has(part)).map((part) => piece(part, row));
  return [`## ${oneLine(speaker)}`, about.join(" · "), ...pieces].filter(Boolean).join("\n\n");
}

function piece(part: Part, row: Row): string {
  if (part.type === "call") return call(part, row.results.get(part));
  if (part.type === "result") return `**Result** ${oneLine(part.name ?? "")}\n\n${fenced(resultText(part))}`;
  if (part.type === "thinking") return part.text && `> ${part.text.replaceAll("\n", "\n> ")}`;
  return part.type === "unknown" ? fenced(other(part), "json") : other(part);
}

function call(part: Call, result: Result | undefined): string {
  const made = `**Tool** \`${oneLine(part.name).replaceAll("`", "'")}\`\n\n${fenced(json(part.arguments), "json")}`;
  return result ? `${made}\n\n**Result**\n\n${fenced(resultText(result))}` : made;
}

/** Returns a block of code whose fence is longer than any in the text. */
function fenced(text: string, language = ""): string {
  const longest = Math.max(2, ...(text.match(/`{3,}/g) ?? []).map((run) => run.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}${language}\n${text}\n${fence}`;
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
