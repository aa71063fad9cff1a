/** An open session while it happens: its events, the people who follow it, and its agent. */

import { batch, computed, type Signal, signal } from "@preact/signals";
import { NotFoundError } from "amplifier-client/errors";
import { answer, api } from "../api/client";
import { type Connection, Follower, type LiveEvent } from "../api/follow";
import { rightsOf } from "../people/rights";
import type { Store } from "../transcript/store";
import { errorText } from "../ui/error-note";
import { Agent, spokenText } from "./agent";
import { Outbox } from "./outbox";
import { Readers } from "./readers";

const TYPING_PAUSE = 1_500; // milliseconds between two notes that the caller types; the service passes on one a second
const ENDS: Record<string, string> = {
  "access.revoked": "You do not take part in this session any more.",
  "session.deleted": "The session was deleted.",
};

/** Follows the session of a store from `start` to `close`, and hands each event to whom it concerns. */
export class Live {
  readonly connection: Signal<Connection> = signal("connecting");
  /** The reason why following ended, as a sentence. */
  readonly ended = signal<string | null>(null);
  readonly agent: Agent;
  readonly outbox: Outbox;
  readonly readers: Readers;
  /** The number of the first message that the caller had not read when the session was opened. */
  readonly firstUnread = computed(() => this.#firstUnread());
  readonly seen: (seq: number) => void;
  /** What the caller may do. Nothing once the session is lost. */
  readonly rights = computed(() => rightsOf(this.ended.value ? null : this.readers.part.value));
  #follower: Follower | null = null;
  #opened = 0; // the number of the last event when the session was opened
  #typed = 0;
  #typing: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly store: Store) {
    const path = `/sessions/${encodeURIComponent(store.id)}`;
    this.agent = new Agent(store.id);
    this.outbox = new Outbox(path, () => store.clock);
    this.readers = new Readers(store.id);
    this.seen = this.readers.seen;
  }

  /** Begins to follow, after what the store shows. */
  start(): void {
    const { id, clock } = this.store;
    this.#opened = clock;
    this.#follower = new Follower({
      base: `/sessions/${encodeURIComponent(id)}`,
      after: clock,
      take: (events) => batch(() => events.forEach((event) => this.#take(event))),
      connected: () => void this.#load(),
      isBehind: (seq) => this.#isBehind(seq),
    });
    this.#follower.connection.subscribe((state) => {
      this.connection.value = state;
      const { problem } = this.#follower!;
      if (state === "ended") this.ended.value ??= lost(problem.peek());
    });
  }

  close(): void {
    this.#follower?.close();
    this.readers.close();
    this.stopped();
  }

  /** Connects at once. */
  reconnect = (): void => {
    this.ended.value = null;
    this.#follower?.reconnect();
  };

  /** Tells the others that the caller types, now or as soon as another note may be sent. */
  typed = (): void => {
    this.stopped();
    const wait = this.#typed + TYPING_PAUSE - Date.now();
    if (wait > 0) return void (this.#typing = setTimeout(this.typed, wait));
    this.#typed = Date.now();
    this.#follower?.say({ type: "typing" });
  };

  /** Takes back a note that was not sent yet: there is nothing to type any more. */
  stopped(): void {
    clearTimeout(this.#typing);
  }

  #firstUnread(): number | null {
    const { unreadAfter, me } = this.readers;
    const after = unreadAfter.value;
    if (!after) return null; // never read, so that all of it is new
    const isNew = (seq: number) => seq > after && seq <= this.#opened;
    return this.store.entries.value.find((one) => isNew(one.seq) && one.author_user_id !== me.value)?.seq ?? null;
  }

  #take(event: LiveEvent): void {
    this.store.apply(event);
    this.readers.take(event);
    this.agent.take(event);
    const { author_user_id, message } = event.type === "message.created" ? event.data : {};
    if (author_user_id === this.readers.me.peek()) this.outbox.came(spokenText(message?.content));
    this.outbox.settle();
    this.ended.value = ENDS[event.type] ?? this.ended.value;
  }

  /** Reads what events without a number may have told meanwhile. Failures come again with the next connection. */
  async #load(): Promise<void> {
    const agent = this.store.session.value?.config_id ? this.agent.load() : null;
    await Promise.allSettled([this.readers.load(), agent]);
  }

  /** Returns whether the session has events that did not come, some seconds after they happened. */
  async #isBehind(seq: number | null): Promise<boolean> {
    const params = { path: { session_id: this.store.id } };
    const { last_seq } = await answer(api.GET("/sessions/{session_id}", { params }));
    if (last_seq <= (seq ?? 0)) return false;
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    return this.store.clock < last_seq;
  }
}

/** Returns why a session cannot be followed. */
function lost(problem: unknown): string {
  return problem instanceof NotFoundError ? ENDS["access.revoked"]! : errorText(problem);
}
