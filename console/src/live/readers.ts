/** Who takes part in an open session, who follows it now, who types, and how far each has read. */

import { computed, signal } from "@preact/signals";
import { answer, api, type Schemas } from "../api/client";
import type { LiveEvent } from "../api/follow";

export type Participant = Schemas["Participant"];

const TYPING = 4_000; // milliseconds that a note of somebody who types is shown; it comes every two seconds
const MARK_PAUSE = 500; // milliseconds of scrolling until a read marker is written

export class Readers {
  /** The caller as a participant. */
  readonly part = signal<Participant | null>(null);
  readonly present = signal<readonly string[]>([]);
  /** The number of those who follow, of whom `present` has 100. */
  readonly count = signal(0);
  readonly typing = signal<readonly string[]>([]);
  /** The number of the last message that each participant has read. */
  readonly read = signal<ReadonlyMap<string, number>>(new Map());
  /** The caller's read marker when the session was opened, null until it is known. */
  readonly unreadAfter = signal<number | null>(null);
  readonly me = computed(() => this.part.value?.user_id ?? "");
  #typing = new Map<string, ReturnType<typeof setTimeout>>();
  #seen = 0;
  #marking: ReturnType<typeof setTimeout> | undefined;
  readonly #closed = new AbortController();

  constructor(private readonly sessionId: string) {
    document.addEventListener("visibilitychange", this.#markSoon, { signal: this.#closed.signal });
  }

  close(): void {
    this.#closed.abort();
    clearTimeout(this.#marking);
    for (const timer of this.#typing.values()) clearTimeout(timer);
  }

  /** Reads the participants. */
  async load(): Promise<void> {
    const path = { session_id: this.sessionId };
    const { signal } = this.#closed;
    const own = { path: { ...path, user_id: "me" } };
    const [part, all] = await Promise.all([
      answer(api.GET("/sessions/{session_id}/participants/{user_id}", { params: own, signal })),
      answer(api.GET("/sessions/{session_id}/participants", { params: { path }, signal })),
    ]);
    this.part.value = part;
    this.unreadAfter.value ??= part.last_read_seq;
    this.#markSoon(); // what was seen before
    const known = this.read.value;
    this.read.value = new Map(
      all.items.map((one) => [one.user_id, Math.max(one.last_read_seq, known.get(one.user_id) ?? 0)]),
    );
  }

  take({ type, data }: LiveEvent): void {
    if (type === "presence.changed") {
      this.present.value = data.present.map((one: { user_id: string }) => one.user_id);
      this.count.value = data.count;
    } else if (type === "typing") {
      this.#types(data.user_id);
    } else if (type === "message.created") {
      this.#stops(data.author_user_id);
    } else if (type === "read") {
      this.read.value = new Map(this.read.value).set(data.user_id, data.last_read_seq);
    } else if (type.startsWith("participant.") || type === "ownership.transferred") {
      this.load().catch(() => null); // what the caller may do is decided by the service anyway
    }
  }

  /** Notes that the message of this number was in view. The marker moves when the page is visible. */
  seen = (seq: number): void => {
    this.#seen = Math.max(this.#seen, seq);
    this.#markSoon();
  };

  #markSoon = (): void => {
    if (!document.hidden) this.#marking ??= setTimeout(() => this.#mark(), MARK_PAUSE);
  };

  async #mark(): Promise<void> {
    this.#marking = undefined;
    const { part } = this;
    const seq = this.#seen;
    if (document.hidden || !part.value || seq <= part.value.last_read_seq) return;
    const params = { path: { session_id: this.sessionId } };
    await answer(api.POST("/sessions/{session_id}/read", { params, body: { seq } })).then(
      ({ last_read_seq }) => part.value && (part.value = { ...part.value, last_read_seq }),
      () => null, // the next message that is seen moves it
    );
  }

  #types(userId: string): void {
    if (userId === this.me.value) return;
    clearTimeout(this.#typing.get(userId));
    this.#typing.set(
      userId,
      setTimeout(() => this.#stops(userId), TYPING),
    );
    this.typing.value = [...this.#typing.keys()];
  }

  #stops(userId: string): void {
    if (!this.#typing.has(userId)) return;
    clearTimeout(this.#typing.get(userId));
    this.#typing.delete(userId);
    this.typing.value = [...this.#typing.keys()];
  }
}
