/** The session for the OpenAI Agents SDK: `run(agent, "Hi", { session: new AmplifierSession("user-42") })`. */

import type { AgentInputItem, Session as AgentsSession } from "@openai/agents";
import { batches } from "./batches.js";
import { Amplifier } from "./client.js";
import type { Options } from "./http.js";
import type { openapi } from "./openapi-names.js";
import type { Message, Session } from "./session.js";

const MOST = 1000; // messages that one request reads by their number
const TOGETHER = 10_000; // messages that one request appends
const SIZE = 60_000_000; // bytes of them
const BYTES = "amplifier:bytes";

/** A conversation of the OpenAI Agents SDK as a session of Amplifier: an item is a message. */
export class AmplifierSession implements AgentsSession {
  /** The session, to follow, share or search it. */
  readonly session: Session;
  readonly #key: string;

  /** `key` names the conversation. Its session is made with `create` when it is used first, unless it is there. */
  constructor(key: string, given: Amplifier | Options = {}, create?: openapi.CreateSession) {
    const amplifier = given instanceof Amplifier ? given : new Amplifier(given);
    this.#key = key;
    this.session = amplifier.session(key, create);
  }

  async getSessionId(): Promise<string> {
    return this.#key;
  }

  /** Returns the last `limit` items in order, or all. */
  async getItems(limit?: number): Promise<AgentInputItem[]> {
    if (limit !== undefined && limit <= 0) return [];
    const last = limit !== undefined && limit <= MOST ? limit : undefined;
    const items = (await this.session.plain({ last })).map(itemOf);
    return limit === undefined ? items : items.slice(-limit);
  }

  /** Adds items in order. Up to 10,000 are added together or not at all. */
  async addItems(items: AgentInputItem[]): Promise<void> {
    const messages = items.map((item) => encoded(item) as Message);
    for (const batch of batches(messages, TOGETHER, SIZE)) await this.session.append(batch);
  }

  /** Takes the last item back and returns it. Of several callers at once, each gets another one. */
  async popItem(): Promise<AgentInputItem | undefined> {
    const [entry] = (await this.session.retract({ last: 1 })).retracted;
    return entry && itemOf(entry.message);
  }

  /** Deletes the session with its items. The next item makes it anew. */
  async clearSession(): Promise<void> {
    await this.session.delete();
  }
}

const itemOf = (message: Message): AgentInputItem => decoded(message) as AgentInputItem;

/** Returns a copy in which bytes, which JSON does not have, are base64. */
function encoded(value: unknown): unknown {
  if (value instanceof Uint8Array)
    return { [BYTES]: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
  return changed(value, encoded);
}

function decoded(value: unknown): unknown {
  const text = (value as Record<string, unknown> | null)?.[BYTES];
  if (typeof text === "string") return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return changed(value, decoded);
}

function changed(value: unknown, change: (value: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(change);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, change(one)]));
}
