/** What a tool returned, as the page shows it. */

import { json, parsed } from "./json";
import { type Block, type Call, isObject, type Result } from "./reading/parts";

const OF_AMPLIFIER = new Set(["success", "output", "error"]);
const AGENTS = /^(?:task|agent|delegate|spawn|subagent|spawn_agent|sub_agent)$/i;
const OF_AGENT = ["subagent_type", "agent", "agent_name", "agent_type", "name"];
const TASKS = ["prompt", "instruction", "instructions", "task", "message", "input"];

/** Returns the sub-agent that a call starts, and its task, or null for calls of other tools. */
export function agentOf({ name, arguments: given }: Call): { agent: string; task: string } | null {
  if (!AGENTS.test(name)) return null;
  const first = (keys: string[]) => keys.map((key) => given[key]).find((one) => typeof one === "string");
  const task = first(TASKS);
  return typeof task === "string" ? { agent: String(first(OF_AGENT) ?? name), task } : null;
}

/** What is left of a result when the wrapping of an Amplifier tool is taken off. */
export interface Outcome {
  failed: boolean;
  /** The output if it is text or JSON of a tool; null if `content` of the result shows it better. */
  text: string | null;
  isJson: boolean;
}

/** Returns the outcome of a result. */
export function outcomeOf({ content, is_error }: Result): Outcome {
  const [only] = content;
  if (content.length > 1 || (only && only.type !== "text" && only.type !== "unknown"))
    return { failed: is_error, text: null, isJson: false };
  if (!only) return { failed: is_error, text: "", isJson: false };
  const value = only.type === "unknown" ? only.value : parsed(only.text);
  if (value === undefined) return { failed: is_error, text: only.type === "text" ? only.text : "", isJson: false };
  const wrapped = isObject(value) && "success" in value && Object.keys(value).every((key) => OF_AMPLIFIER.has(key));
  return wrapped ? unwrapped(value, is_error) : { failed: is_error || isError(value), ...shown(value) };
}

function unwrapped({ success, output, error }: Block, is_error: boolean): Outcome {
  const failed = is_error || success === false;
  const isBoth = output !== null && output !== undefined && error !== null && error !== undefined;
  return { failed, ...shown(isBoth ? { output, error } : (error ?? output ?? "")) };
}

function isError(value: unknown): boolean {
  return isObject(value) && typeof value["error"] === "string" && value["error"] !== "";
}

function shown(value: unknown): Pick<Outcome, "text" | "isJson"> {
  if (typeof value !== "string") return { text: json(value), isJson: true };
  const inner = parsed(value);
  return inner === undefined ? { text: value, isJson: false } : { text: json(inner), isJson: true };
}
