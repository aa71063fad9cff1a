/** The client and the sessions of the tests. */

import { randomUUID } from "node:crypto";
import { Amplifier, type Session } from "amplifier-client";

export const amplifier = new Amplifier();

/** Returns a key that no other test uses. */
export const newKey = (): string => `test/${randomUUID()}`;

/** Returns the id of a config whose agent repeats what it hears, with so many seconds before each word. */
export async function echo(delay = 0, client = amplifier): Promise<string> {
  const config_data = { bundle: { name: "echo" }, providers: [{ module: "provider-echo", config: { delay } }] };
  return (await client.createConfig({ name: "Echo", config_data })).config_id;
}

/** Returns a session with an agent that repeats what it hears. */
export async function agent(delay = 0): Promise<Session> {
  return amplifier.session(newKey(), { config_id: await echo(delay) });
}

export const said = (content: string): { role: string; content: string } => ({ role: "user", content });
