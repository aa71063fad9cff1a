/** Sends messages: to the agent, or to the people of the session only. A repeat after a lost answer sends nothing twice. */

import { signal } from "@preact/signals";
import { eventsOf } from "amplifier-client/events";
import { ProblemError } from "amplifier-client/errors";
import { explained, joined, JSON_TYPE, mayRepeat, pause, randomId, waitFor } from "amplifier-client/http";
import { SERVICE } from "../base";
import { http } from "../api/client";
import type { Block } from "./uploads";

/** A message that is sent, and not yet in the transcript. */
export interface Pending {
  key: string;
  text: string;
  /** The number after which its message comes, when it is known. */
  after: number | null;
}

export interface Sending {
  text: string;
  /** Parts that refer to files. The agent gets them in a message before the text. */
  files?: readonly Block[];
  to: "agent" | "people";
  interrupt?: boolean;
  /** The key of an attempt whose answer was lost. */
  key?: string;
}

const LIMIT = 30_000; // milliseconds that one attempt may take
const REPEATS = 3;

export class Outbox {
  readonly pending = signal<readonly Pending[]>([]);

  /** `clock` returns the number of the last event that the page shows. */
  constructor(
    private readonly path: string,
    private readonly clock: () => number,
  ) {}

  /** Returns when the message is committed. Throws ProblemError and ConnectionError. */
  async send(sending: Sending): Promise<void> {
    const { text, key = randomId() } = sending;
    this.pending.value = [...this.pending.value, { key, text, after: null }];
    try {
      const after = await repeated(() => (sending.to === "agent" ? this.#ask(sending, key) : this.#add(sending, key)));
      this.pending.value = this.pending.value.flatMap((one) =>
        one.key !== key ? [one] : after === null ? [] : [{ ...one, after }],
      );
      this.settle();
    } catch (error) {
      this.pending.value = this.pending.value.filter((one) => one.key !== key);
      throw explained(error, SERVICE);
    }
  }

  /** Takes in a message of the caller's that came into the transcript, perhaps before the service has answered. */
  came(text: string): void {
    const at = this.pending.value.findIndex((one) => one.text === text);
    if (at >= 0) this.pending.value = this.pending.value.toSpliced(at, 1);
  }

  /** Drops what the transcript shows by now. */
  settle(): void {
    if (!this.pending.value.length) return;
    this.pending.value = this.pending.value.filter(({ after }) => after === null || after >= this.clock());
  }

  /** Appends a message. Returns the number before its own. */
  async #add({ text, files = [] }: Sending, key: string): Promise<number> {
    const content = files.length ? [...(text ? [{ type: "text", text }] : []), ...files] : text;
    const response = await this.#post("/transcript", { messages: [{ role: "user", content }] }, key);
    return ((await response.json()) as { first_seq: number }).first_seq - 1;
  }

  /** Sends a message to the agent. Returns the number after which it enters the transcript, or null if it waits. */
  async #ask({ text, interrupt, files, to }: Sending, key: string): Promise<number | null> {
    const before = files?.length ? await this.#add({ text: "", files, to }, `${key}-files`) : null;
    if (!text) return before;
    const end = new AbortController();
    const body = { message: text, on_busy: interrupt ? "interrupt" : "enqueue" };
    const response = await this.#post("/stream", body, key, end.signal);
    for await (const { id } of eventsOf(response.body!, end)) {
      const [, seq, queued] = (id ?? "").split(":"); // the run goes on without this stream: events show it
      return queued ? null : Number(seq);
    }
    return null;
  }

  #post(rest: string, body: unknown, key: string, end?: AbortSignal): Promise<Response> {
    const headers = { ...JSON_TYPE, "Idempotency-Key": key };
    const signal = joined(AbortSignal.timeout(LIMIT), end);
    return http.open("POST", this.path + rest, { text: JSON.stringify(body), headers, signal });
  }
}

/** Repeats an attempt that was not answered, or that a service which is starting refused. */
async function repeated<T>(attempt: () => Promise<T>): Promise<T> {
  for (let failures = 0; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      const limited = error instanceof ProblemError && error.status === 429; // people decide when to try again
      if (limited || !mayRepeat(error) || failures >= REPEATS || !navigator.onLine) throw error;
      await pause(waitFor(error, failures));
    }
  }
}
