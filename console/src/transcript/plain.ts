/** Messages as text, for the clipboard. */

import { json } from "./json";
import type { Part, Reading, Result } from "./reading/parts";
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
