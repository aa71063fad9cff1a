/** The state of one open session: its record, and the part of its transcript that is near what is in view. */

import { computed, signal } from "@preact/signals";
import { NotFoundError } from "amplifier-client/errors";
import { answer, api, type Schemas } from "../api/client";
import { peopleChanged } from "../people/changes";
import { type Part, rightsOf } from "../people/rights";
import { without, Window } from "./window";

export type Session = Schemas["Session"];
export type Entry = Schemas["Entry"];

/** An event of the session's stream; numbered ones come in order. */
export interface SessionEvent {
  type: string;
  seq: number | null;
  data: any; // as the event's type says
}

type Where = { last?: number; before?: number; after?: number; limit?: number };

const PAGE = 100; // messages
const ABOUT = 40; // messages on each side of the one that is asked for
const RELOADS = ["participant.changed", "participant.removed", "ownership.transferred"]; // may change what the caller may do

/** The open session. `entries` are consecutive messages by ascending number; what is far from view is let go. */
export class Store {
  readonly session = signal<Session | null>(null);
  readonly entries = signal<readonly Entry[]>([]);
  /** Whether there are messages before and after those that are loaded. */
  readonly hasOlder = signal(false);
  readonly hasNewer = signal(false);
  /** Whether the first messages are there. */
  readonly ready = signal(false);
  /** Messages that others added at the end while it is not loaded. */
  readonly waiting = signal(0);
  readonly error = signal<unknown>(null);
  /** What the caller may do here; nothing until it is known. */
  readonly rights = computed(() => rightsOf(this.#part.value));
  /** Where the list is to go: to the message of a number, or to the end. A new object goes again. */
  readonly target = signal<{ seq: number | "end" } | null>(null);
  /** The numbers of the first and last message in view, which are kept in any case. */
  view: [number, number] | null = null;
  /** The number of the last event that `entries` and `session` show: streams begin after it. */
  clock = 0;

  readonly #part = signal<Part | null>(null);
  readonly #ended = new AbortController();
  #window = new Window();
  #changed = 0; // the last event that made pages read before it wrong
  #loading: Partial<Record<"older" | "newer", Promise<void>>> = {};

  constructor(readonly id: string) {}

  /** Loads the session, and the newest messages or those around a number. */
  async open(seq?: number): Promise<void> {
    this.error.value = null;
    try {
      const session = await this.#read();
      this.clock = session.last_seq;
      this.session.value = session;
      await (seq ? this.loadAround(seq) : this.loadNewest());
      this.target.value = { seq: seq ?? "end" };
    } catch (error) {
      this.fail(error);
    }
  }

  /** Shows an error, unless the session was left. */
  readonly fail = (error: unknown): void => {
    if (!this.#ended.signal.aborted) this.error.value = error;
  };

  /** Forgets an error, and reads what is shown anew. */
  readonly retry = (): Promise<void> => {
    this.error.value = null;
    return this.refresh().catch(this.fail);
  };

  /** Ends all requests. */
  close(): void {
    this.#ended.abort();
  }

  async loadNewest(): Promise<void> {
    const page = await this.#page({ last: PAGE });
    const older = page.messages.length > 0 && (await this.#any({ before: page.messages[0]!.seq, limit: 1 }));
    const newer = page.next === null ? null : await this.#page({ after: page.next, limit: PAGE }); // more than 8 MB
    this.#replace([...page.messages, ...(newer?.messages ?? [])], older, newer?.next != null);
  }

  /** Loads the messages around a number, from which the view can go both ways. */
  async loadAround(seq: number): Promise<void> {
    const [before, after] = await Promise.all([
      this.#page({ before: seq + 1, limit: ABOUT }),
      this.#page({ after: seq, limit: ABOUT }),
    ]);
    this.#replace([...before.messages.reverse(), ...after.messages], before.next !== null, after.next !== null);
  }

  async loadOlder(): Promise<void> {
    const first = this.entries.value[0];
    if (!first || !this.hasOlder.value) return;
    await (this.#loading.older ??= this.#extend("older", { before: first.seq, limit: PAGE }));
  }

  async loadNewer(): Promise<void> {
    const last = this.entries.value.at(-1);
    if (!last || !this.hasNewer.value) return;
    await (this.#loading.newer ??= this.#extend("newer", { after: last.seq, limit: PAGE }));
  }

  /** Reads the session and the messages in view anew, as after a gap in the stream. */
  async refresh(): Promise<void> {
    peopleChanged(this.id);
    this.session.value = await this.#read();
    this.clock = Math.max(this.clock, this.session.value.last_seq);
    this.#changed = this.session.value.last_seq;
    if (this.hasNewer.value && this.view) await this.loadAround(this.view[0]);
    else await this.loadNewest();
  }

  /** Leaves out messages that were taken back here, before the event says so. */
  forget(seqs: number[]): void {
    this.entries.value = without(this.entries.value, new Set(seqs));
  }

  /** Takes in an event of the stream. One that was taken in before changes nothing. */
  apply(event: SessionEvent): void {
    const { type, seq, data } = event;
    if (seq !== null && seq <= this.clock && type !== "message.created") return;
    if (seq !== null) this.clock = Math.max(this.clock, seq);
    if (/^(participant|invitation|ownership)\./.test(type)) peopleChanged(this.id);
    if (type === "message.created") this.#created(data as Entry);
    else if (type === "message.updated") this.#later(seq, this.#updated(data.message_seq));
    else if (type === "message.retracted") this.#retracted(seq!, data.seqs);
    else if (type === "transcript.repaired") this.#repaired(seq!, data.from_seq);
    else if (type === "session.updated") this.#patched(data);
    else if (RELOADS.includes(type)) this.#later(seq, this.#reread());
  }

  #created(entry: Entry): void {
    const { entries } = this;
    const last = entries.value.at(-1)?.seq ?? 0;
    if (entry.seq <= last || !this.ready.value) return;
    if (this.hasNewer.value) this.waiting.value++;
    else this.#show([...entries.value, entry], "newer");
    const session = this.session.value;
    if (!session || entry.seq <= session.last_seq) return;
    this.session.value = { ...session, last_seq: entry.seq, messages_total: session.messages_total + 1 };
  }

  async #updated(seq: number): Promise<void> {
    if (!this.entries.value.some((entry) => entry.seq === seq)) return;
    const params = { path: { session_id: this.id, seq } };
    const entry = await answer(api.GET("/sessions/{session_id}/transcript/{seq}", { params })).catch(absent);
    const others = this.entries.value;
    this.entries.value = entry
      ? others.map((one) => (one.seq === seq ? entry : one))
      : others.filter((one) => one.seq !== seq);
  }

  #retracted(seq: number, seqs: number[] | undefined): void {
    this.#changed = seq;
    if (!seqs) return this.#later(seq, this.refresh());
    this.entries.value = without(this.entries.value, new Set(seqs));
    this.#later(seq, this.#reread());
  }

  /** What was moved follows as new messages; messages with later numbers than the event are those. */
  #repaired(seq: number, from: number): void {
    this.#changed = seq;
    this.entries.value = this.entries.value.filter((entry) => entry.seq < from || entry.seq > seq);
    this.#later(seq, this.#reread());
  }

  #patched(data: Partial<Session> & { changed?: string[] }): void {
    const { title, tags, metadata, status, config_id } = data;
    const given = Object.entries({ title, tags, metadata, status, config_id }).filter(([, one]) => one !== undefined);
    if (this.session.value) this.session.value = { ...this.session.value, ...Object.fromEntries(given) };
    if (data.changed) this.#later(null, this.#reread());
  }

  async #reread(): Promise<void> {
    this.session.value = await this.#read();
  }

  /** Watches over what an event began: its failure is shown, unless the session was left. */
  #later(seq: number | null, work: Promise<void>): void {
    if (seq !== null) this.#changed = Math.max(this.#changed, seq);
    work.catch(this.fail);
  }

  async #read(): Promise<Session> {
    const path = { session_id: this.id, user_id: "me" };
    const { signal } = this.#ended;
    const [session, part] = await Promise.all([
      answer(api.GET("/sessions/{session_id}", { params: { path }, signal })),
      answer(api.GET("/sessions/{session_id}/participants/{user_id}", { params: { path }, signal })),
    ]);
    this.#part.value = part;
    return session;
  }

  /** Reads a page, again if an event that came meanwhile has made it wrong. */
  async #page(query: Where): Promise<Schemas["Transcript"]> {
    for (;;) {
      const params = { path: { session_id: this.id }, query };
      const request = api.GET("/sessions/{session_id}/transcript", { params, signal: this.#ended.signal });
      const page = (await answer(request)) as Schemas["Transcript"];
      if (page.last_seq >= this.#changed) return page;
    }
  }

  async #any(query: Where): Promise<boolean> {
    return (await this.#page(query)).messages.length > 0;
  }

  async #extend(side: "older" | "newer", query: Where): Promise<void> {
    try {
      const page = await this.#page(query);
      const known = this.entries.value;
      const more = page.next !== null;
      if (side === "older") {
        this.hasOlder.value = more;
        const first = known[0]?.seq ?? Infinity;
        this.#show([...page.messages.reverse().filter((entry) => entry.seq < first), ...known], side);
      } else {
        this.hasNewer.value = more;
        if (!more) this.waiting.value = 0;
        const last = known.at(-1)?.seq ?? 0;
        this.#show([...known, ...page.messages.filter((entry) => entry.seq > last)], side);
      }
    } finally {
      delete this.#loading[side];
    }
  }

  #replace(entries: Entry[], older: boolean, newer: boolean): void {
    this.entries.value = entries;
    this.hasOlder.value = older;
    this.hasNewer.value = newer;
    this.waiting.value = 0;
    this.ready.value = true;
  }

  /** Shows entries of which one side is new, and lets go of what is too far from view on the other. */
  #show(entries: Entry[], side: "older" | "newer"): void {
    const kept = this.#window.kept(entries, this.view, side);
    if (kept[0] !== entries[0]) this.hasOlder.value = true;
    if (kept.at(-1) !== entries.at(-1)) this.hasNewer.value = true;
    this.entries.value = kept;
  }
}

/** Returns null for a message that is not there any more. */
function absent(error: unknown): null {
  if (error instanceof NotFoundError) return null;
  throw error;
}
