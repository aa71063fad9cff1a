/**
 * Follows live events for as long as a page is open: comes back after each lost connection, and never gives up.
 *
 * Over HTTP/1.1 a browser opens six connections to a host. Six tabs with server-sent events would leave none for
 * requests, so that pages follow by WebSocket, and by server-sent events only where sockets are blocked.
 */

import { signal } from "@preact/signals";
import { ProblemError } from "amplifier-client/errors";
import { mayRepeat, pause, waitFor } from "amplifier-client/http";
import { byEvents, bySocket, type LiveEvent, NotOpened, type Say } from "./connections";

export type { LiveEvent } from "./connections";

/** `lost` after the first repeat has failed; `ended` when the service says that there is nothing to follow any more. */
export type Connection = "connecting" | "live" | "lost" | "ended";

export interface Following {
  /** The path of a session, as `/sessions/ID`, or "" for hints about all sessions of the caller. */
  base: string;
  /** The number after which the events of a session begin. */
  after?: number;
  /** Takes the events of some milliseconds. */
  take: (events: LiveEvent[]) => void;
  /** Called after each connection, with false after the first: events without a number may be missing. */
  connected?: (again: boolean) => void;
  /** Returns whether events are missing. Asked when nothing came for half a minute, as on a connection that is dead. */
  isBehind?: (seq: number | null) => Promise<boolean>;
}

const PAUSE = 30; // milliseconds of events that are taken together
const SILENCE = 30_000; // milliseconds without an event after which the connection is doubted
const STEADY = 5_000; // milliseconds after which a connection counts as no failure
const ENDS = ["access.revoked", "session.deleted"];
let notOpened = 0; // sockets in a row, on this page

/** A stream that is followed until `close`. */
export class Follower {
  readonly connection = signal<Connection>("connecting");
  /** The reason why the stream ended or was not opened. */
  readonly problem = signal<unknown>(null);
  #say: Say | null = null;
  #last: number | null;
  #events: LiveEvent[] = [];
  #flushing: ReturnType<typeof setTimeout> | undefined;
  #heard = Date.now();
  #openedAt = 0; // 0 while the present connection is not there
  #again = false;
  readonly #closed = new AbortController();
  #broken = new AbortController(); // ends the present connection
  #awake = new AbortController(); // ends the wait for the next one

  constructor(private readonly given: Following) {
    this.#last = given.after ?? null;
    const { signal } = this.#closed;
    addEventListener("online", this.reconnect, { signal });
    addEventListener("offline", () => this.#broken.abort(), { signal });
    document.addEventListener("visibilitychange", () => document.hidden || this.#look(), { signal });
    const timer = setInterval(() => this.#look(), SILENCE / 2);
    signal.addEventListener("abort", () => clearInterval(timer));
    void this.#keepFollowing();
  }

  /** Sends a note, if the connection carries notes. */
  say: Say = (note) => this.#say?.(note);

  /** Ends it. */
  close(): void {
    this.#closed.abort();
    this.#broken.abort();
    clearTimeout(this.#flushing);
  }

  /** Connects at once, instead of after a pause; also after it has ended. */
  reconnect = (): void => {
    if (this.connection.peek() === "ended") void this.#keepFollowing();
    else this.#awake.abort();
  };

  async #keepFollowing(): Promise<void> {
    this.connection.value = "connecting";
    for (let failures = 0; !this.#closed.signal.aborted; failures++) {
      const error = await this.#connect();
      if (this.#closed.signal.aborted || this.connection.peek() === "ended") return;
      if (this.#openedAt && Date.now() - this.#openedAt > STEADY) failures = 0;
      if (error instanceof ProblemError && !mayRepeat(error)) return this.#end(error);
      this.connection.value = failures > 0 || !navigator.onLine ? "lost" : "connecting";
      this.problem.value = error;
      this.#awake = new AbortController();
      const ended = AbortSignal.any([this.#awake.signal, this.#closed.signal]);
      await pause(waitFor(error, failures), ended).catch(() => null);
    }
  }

  /** Returns why the connection was not made, or null when it was there and has ended. */
  async #connect(): Promise<unknown> {
    this.#broken = new AbortController();
    this.#openedAt = 0;
    const signal = AbortSignal.any([this.#broken.signal, this.#closed.signal]);
    const opened = (say: Say | null) => this.#opened(say);
    const take = (event: LiveEvent) => this.#take(event);
    try {
      const connect = notOpened < 2 ? bySocket : byEvents;
      await connect({ base: this.given.base, after: this.#last, signal, opened, take });
      return null;
    } catch (error) {
      if (error instanceof NotOpened && navigator.onLine && !signal.aborted) notOpened++;
      else if (notOpened === 2) notOpened = 0; // events were not received either: sockets may come first again
      return this.#openedAt ? null : error;
    } finally {
      this.#say = null;
    }
  }

  #opened(say: Say | null): void {
    if (say) notOpened = 0;
    this.#say = say;
    this.#heard = this.#openedAt = Date.now();
    this.connection.value = "live";
    this.problem.value = null;
    this.given.connected?.(this.#again);
    this.#again = true;
  }

  #take(event: LiveEvent): void {
    this.#heard = Date.now();
    if (event.type === "token.expired") return; // the next connection has a new one
    if (event.seq !== null) this.#last = event.seq;
    this.#events.push(event);
    if (ENDS.includes(event.type)) return this.#end(null);
    this.#flushing ??= setTimeout(() => this.#flush(), PAUSE);
  }

  #flush(): void {
    clearTimeout(this.#flushing);
    this.#flushing = undefined;
    const events = this.#events;
    this.#events = [];
    if (events.length) this.given.take(events);
  }

  #end(problem: unknown): void {
    this.#flush();
    this.problem.value = problem;
    this.connection.value = "ended";
    this.#broken.abort();
  }

  /** Breaks a connection off that is silent although something has happened, or that slept. */
  async #look(): Promise<void> {
    this.#awake.abort();
    if (this.connection.peek() !== "live" || Date.now() - this.#heard < SILENCE) return;
    const broken = this.#broken;
    this.#heard = Date.now(); // asked once in a while only
    const behind = this.given.isBehind?.(this.#last) ?? Promise.resolve(false);
    if (await behind.catch(() => true)) broken.abort();
  }
}
