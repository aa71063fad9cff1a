/** One session: its transcript, people, state, live events and agent. */

import { followed, type RawEvent } from "./events.js";
import { ConflictError, NotFoundError } from "./errors.js";
import { type Http, JSON_TYPE, type Parts, type Query } from "./http.js";
import type { openapi } from "./openapi-names.js";
import { type AgentEvent, type Answer, answered, run, type SendOptions } from "./runs.js";

/** A message as an object, in the format of any provider or framework. */
export type Message = Record<string, unknown>;

/** Options of an append. */
export interface AppendOptions {
  /** A key for each message, null for none. A key that is in the session already is skipped or replaced. */
  keys?: (string | null)[];
  on_conflict?: "skip" | "replace";
  /** JSON merge patches of the state, by scope, in the same transaction. */
  state?: openapi.StatePatches;
  /** The `last_seq` that the caller knows. Throws StaleError if there is more. */
  expected_seq?: number;
}

/** The messages to take back, by exactly one of the first three members. */
export interface Retraction {
  last?: number;
  seqs?: number[];
  after_seq?: number;
  expected_seq?: number;
  /** Blanks what is retracted (owners). */
  erase?: boolean;
}

/** An event of a session. Those with a `seq` arrive once and in order. */
export interface SessionEvent {
  type: string;
  seq: number | null;
  data: any;
}

const ENDS = ["access.revoked", "session.deleted"];
const PAGE = 1000;
const LARGE = 2_000_000; // characters, which are at most 8 MB
const NDJSON = { "Content-Type": "application/x-ndjson" };

/** A session by its id, or by a key of the caller's, under which it is made when it is used first. */
export class Session {
  #id: Promise<string> | string | null;

  constructor(
    readonly http: Http,
    /** The caller's key, or null if the session was given by its id. */
    readonly key: string | null,
    id: string | null,
    private readonly create: openapi.CreateSession = {},
  ) {
    this.#id = id;
  }

  /** Returns the id. The first call for a key makes the session, unless it is there. */
  async id(): Promise<string> {
    this.#id ??= this.#found().catch((error: unknown) => {
      this.#id = null;
      throw error;
    });
    return this.#id;
  }

  async #found(): Promise<string> {
    const path = `/sessions/by-key/${encodeURIComponent(this.key!)}`;
    return (await this.http.json<openapi.Session>("PUT", path, { body: this.create })).session_id;
  }

  /** Returns the path of a route below the session. */
  async path(rest = ""): Promise<string> {
    return `/sessions/${encodeURIComponent(await this.id())}${rest}`;
  }

  /** Sends a request to a route below the session. One that was deleted meanwhile is made anew under its key. */
  async request<T>(method: string, rest: string, parts: Parts = {}): Promise<T> {
    const path = await this.path(rest);
    try {
      return await this.http.json<T>(method, path, parts);
    } catch (error) {
      if (!(error instanceof NotFoundError) || this.key === null) throw error;
      this.#id = null;
      const again = await this.path(rest);
      if (again === path) throw error;
      return this.http.json<T>(method, again, parts);
    }
  }

  /** Returns the session with its title, tags, metadata, counts and the caller's role. */
  async get(): Promise<openapi.Session> {
    return this.request("GET", "");
  }

  /** Changes title, tags, metadata, status or config. Members of objects are merged; null removes one. */
  async update(changes: Message): Promise<openapi.Session> {
    const headers = { "Content-Type": "application/merge-patch+json" };
    return this.request("PATCH", "", { body: changes, headers });
  }

  /** Deletes the session. Returns false if it is not there. Its key is free then. */
  async delete(): Promise<boolean> {
    try {
      if (this.#id === null) this.#id = (await existing(this.http, this.key!))?.session_id ?? null;
      if (this.#id === null) return false;
      await this.http.json("DELETE", await this.path());
      return true;
    } catch (error) {
      if (error instanceof NotFoundError) return false;
      throw error;
    } finally {
      if (this.key !== null) this.#id = null;
    }
  }

  /**
   * Appends messages: all or none, in order. They are committed when this returns.
   *
   * At most 10,000 and 64 MB; with keys or state at most 1,000 and 8 MB.
   */
  async append(messages: Message | readonly Message[], options: AppendOptions = {}): Promise<openapi.Appended> {
    const lines = [messages].flat().map((message) => JSON.stringify(message));
    const size = lines.reduce((sum, line) => sum + line.length, 0);
    const { expected_seq, ...others } = options;
    if ((lines.length > PAGE || size > LARGE) && Object.keys(others).length === 0) {
      const parts = { query: { expected_seq }, text: lines.join("\n"), headers: NDJSON, once: true };
      return this.request("POST", "/transcript", parts);
    }
    const keyed = options.keys?.every((key) => key !== null) ?? false; // a repeat finds the keys
    const rest = JSON.stringify(options).slice(1);
    const text = `{"messages":[${lines}]${rest === "}" ? "" : ","}${rest}`;
    return this.request("POST", "/transcript", { text, headers: JSON_TYPE, once: !keyed });
  }

  /** Returns messages with their numbers, authors and times: the last n, or a page in order. */
  async messages(query: { last?: number; after?: number; limit?: number } = {}): Promise<openapi.Entry[]> {
    return (await this.#page({ ...query })).messages;
  }

  /** Yields all messages in order, in pages. */
  async *entries(after = 0): AsyncGenerator<openapi.Entry> {
    for (let next: number | null = after; next !== null;) {
      const page: openapi.Transcript = await this.#page({ after: next, limit: PAGE });
      yield* page.messages;
      next = page.next;
    }
  }

  /** Returns the messages as they were stored: all in order, or the last n. */
  async plain(query: { last?: number } = {}): Promise<Message[]> {
    return this.request("GET", "/transcript", { query: { view: "plain", ...query } });
  }

  async #page(query: Query): Promise<openapi.Transcript> {
    return this.request("GET", "/transcript", { query });
  }

  /** Takes messages back and returns what they were. They are gone from reads, search and agents at once. */
  async retract(what: Retraction): Promise<openapi.Retracted> {
    return this.request("POST", "/transcript/retract", { body: what, once: true });
  }

  /** Returns the state documents of the session, of the caller, and of the application. */
  async state(): Promise<openapi.SessionStates> {
    return this.request("GET", "/state");
  }

  /** Merges patches into state documents, by scope. Throws StaleError where one has another version than given. */
  async patchState(patches: openapi.StatePatches, versions?: openapi.StateVersions): Promise<openapi.PatchedStates> {
    return this.request("PATCH", "/state", { body: { ...patches, versions }, once: true });
  }

  /** Finds what was said in this session, best first. */
  async search(q: string, query: Query = {}): Promise<openapi.SearchResults> {
    return this.request("GET", "/search", { query: { q, ...query } });
  }

  /** Lets a user take part, or changes the role. */
  async share(user_id: string, role: "owner" | "editor" | "viewer" = "editor"): Promise<openapi.Participant> {
    return this.request("POST", "/participants", { body: { user_id, role } });
  }

  /** Ends a user's part in the session. */
  async unshare(user_id: string): Promise<void> {
    await this.request("DELETE", `/participants/${encodeURIComponent(user_id)}`);
  }

  /**
   * Yields what happens in the session: each numbered event once and in order, from the next one on or after a number.
   *
   * A lost connection is resumed. Ends when the session is deleted or the caller loses access.
   */
  async *follow(options: { after?: number; signal?: AbortSignal } = {}): AsyncGenerator<SessionEvent> {
    const after = options.after ?? (await this.get()).last_seq; // so that nothing is missed before the first event
    const parts = { query: { after }, signal: options.signal };
    const given = { method: "GET" as const, path: await this.path("/events"), parts };
    const last = (event: RawEvent) => ENDS.includes(event.type);
    const broken = (event: RawEvent) => event.type === "token.expired";
    for await (const { id, type, data } of followed(this.http, { ...given, last, broken })) {
      yield { type, seq: id === null ? null : Number(id), data: JSON.parse(data) };
    }
  }

  /** Sends a message to the session's agent and returns its answer. Throws ProblemError if the run fails. */
  async send(message: string, options: SendOptions = {}): Promise<Answer> {
    return answered(this.stream(message, options));
  }

  /** Sends a message to the session's agent and yields what it does, down to its answer. Leaving stops nothing. */
  async *stream(message: string, options: SendOptions = {}): AsyncGenerator<AgentEvent> {
    yield* run(this.http, await this.path("/stream"), message, options);
  }

  /** Stops the agent. Returns false if nothing runs or waits. */
  async cancel(run_id?: string): Promise<boolean> {
    try {
      await this.request("POST", "/cancel", { query: { run_id } });
      return true;
    } catch (error) {
      if (error instanceof ConflictError) return false;
      throw error;
    }
  }
}

/** Returns the session of a key, or null. */
export async function existing(http: Http, key: string): Promise<openapi.Session | null> {
  try {
    return await http.json("GET", `/sessions/by-key/${encodeURIComponent(key)}`);
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}
