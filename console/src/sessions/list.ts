/** The state of the list: its rows, read page by page, and kept up to date. */

import { computed, signal } from "@preact/signals";
import { answer, api, type Schemas } from "../api/client";
import { Follower, type LiveEvent } from "../api/follow";
import { deleted } from "./deletion";
import { type Filters, orderOf, queryOf } from "./filters";
import { compare, later, merged, type Row, rowOf } from "./rows";

const PAGE = 100; // sessions
const PACE = 1000; // milliseconds at least between two requests for what changed
const SHARE = 4; // with slow answers: so many times as long as the last one took
const LONGEST = 5000; // milliseconds
const MOST_CHANGED = 300; // sessions; with more, the list is read again
const OVERLAP = 10_000; // milliseconds, for changes that were committed later than others

type Page = Schemas["SessionList"];

/** The sessions that filters leave. `load` reads the first page, `follow` keeps what is loaded up to date. */
export class SessionList {
  readonly #rows = signal<readonly Row[]>([]);
  readonly rows = computed(() => {
    const gone = deleted.value;
    return gone.size ? this.#rows.value.filter((row) => !gone.has(row.session_id)) : this.#rows.value;
  });
  /** How many sessions the filters leave, null until it is known. */
  readonly total = signal<number | null>(null);
  /** Why the first page, or the next one, is not there. */
  readonly error = signal<unknown>(null);
  readonly loading = signal(false);

  #next: string | null = null;
  #newest: string | null = null; // the latest change that was seen
  #touched = new Set<string>();
  #gone = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pace = 0;
  #follower: Follower | undefined;
  readonly #closed = new AbortController();

  constructor(private readonly filters: Filters) {}

  /** Whether there are rows after those that are loaded. */
  get hasMore(): boolean {
    return this.#next !== null;
  }

  /** Reads the first page. Rows that it shows to be gone go; rows after it stay. */
  async load(): Promise<void> {
    await this.#attempt(async () => {
      const page = await this.#read({});
      const rows = page.sessions.map(rowOf);
      const last = rows.at(-1);
      const kept = page.next === null || !last ? [] : this.#rows.value.filter((row) => this.#compare(row, last) > 0);
      if (!kept.length) this.#next = page.next;
      const fresh = new Set(rows.map((row) => row.session_id));
      this.#show([...rows, ...kept.filter((row) => !fresh.has(row.session_id))]);
      this.total.value = page.total;
    });
  }

  /** Reads the next page, if there is one. */
  async loadMore(): Promise<void> {
    if (this.#next === null || this.loading.peek()) return;
    const cursor = this.#next;
    await this.#attempt(async () => {
      const page = await this.#read({ cursor });
      const known = new Set(this.#rows.value.map((row) => row.session_id));
      const added = page.sessions.map(rowOf).filter((row) => !known.has(row.session_id));
      this.#next = page.next;
      this.#show([...this.#rows.value, ...added]);
    });
  }

  /** Keeps the rows up to date until `close`. */
  follow(): void {
    const take = (events: LiveEvent[]) => this.#take(events);
    this.#follower = new Follower({ base: "", take, connected: (again) => void (again && this.load()) });
    const { signal } = this.#closed;
    // read markers are not announced: they may have moved in another tab
    document.addEventListener("visibilitychange", () => void (document.hidden || this.load()), { signal });
  }

  close(): void {
    this.#follower?.close();
    this.#closed.abort();
    clearTimeout(this.#timer);
  }

  /** Shows a session as it is after a change by this page, before the service says so. */
  change(session: Schemas["Session"]): void {
    const { session_id, title, status, config_id } = session;
    const tags = session.tags as Row["tags"];
    this.#rows.value = this.#rows.value.map((row) =>
      row.session_id === session_id ? { ...row, title, status, config_id, tags } : row,
    );
  }

  #compare(a: Row, b: Row): number {
    return compare(a, b, orderOf(this.filters));
  }

  #show(rows: readonly Row[]): void {
    for (const row of rows) this.#newest = later(this.#newest, row.updated_at);
    this.#rows.value = rows;
  }

  async #attempt(act: () => Promise<void>): Promise<void> {
    this.loading.value = true;
    try {
      await act();
      this.error.value = null;
    } catch (error) {
      if (!this.#closed.signal.aborted) this.error.value = error;
    } finally {
      this.loading.value = false;
    }
  }

  async #read(more: { cursor?: string; updated_after?: string }, filters = queryOf(this.filters)): Promise<Page> {
    const query = { ...filters, limit: PAGE, ...more };
    return answer(api.GET("/sessions", { params: { query }, signal: this.#closed.signal }));
  }

  #take(events: LiveEvent[]): void {
    for (const { type, data } of events) {
      if (type === "resync") return void this.load();
      if (type !== "hint") continue;
      (data.last_seq === null ? this.#gone : this.#touched).add(data.session_id);
    }
    this.#timer ??= setTimeout(() => void this.#catchUp(), this.#pace);
  }

  /** Reads what changed since the latest change that was seen. */
  async #catchUp(): Promise<void> {
    const [touched, gone] = [this.#touched, this.#gone];
    [this.#touched, this.#gone] = [new Set(), new Set()];
    const began = performance.now();
    try {
      if (touched.size > MOST_CHANGED || this.#newest === null) await this.load();
      else if (touched.size) await this.#merge(touched, gone);
      else this.#put([], gone);
    } catch {
      // the follower notices the same outage, comes back, and the list is read again
    }
    this.#pace = Math.min(LONGEST, Math.max(PACE, SHARE * (performance.now() - began)));
    this.#timer = undefined;
    if (this.#touched.size || this.#gone.size) this.#timer = setTimeout(() => void this.#catchUp(), this.#pace);
  }

  async #merge(touched: Set<string>, gone: Set<string>): Promise<void> {
    const since = new Date(Date.parse(this.#newest!) - OVERLAP).toISOString();
    const own = queryOf(this.filters);
    const from = own.updated_after && own.updated_after > since ? own.updated_after : since;
    const found = await this.#changed(own, from);
    const left = [...touched].filter((id) => !found.has(id) && this.#rows.value.some((row) => row.session_id === id));
    if (left.length) {
      const any = await this.#changed({ include: ["run"] }, since); // what the filters leave out by now
      for (const id of left) if (any.has(id)) gone.add(id);
    }
    this.#put([...found.values()], gone);
  }

  /** Returns the sessions that were changed since then, by id. */
  async #changed(filters: ReturnType<typeof queryOf>, updated_after: string): Promise<Map<string, Row>> {
    const found = new Map<string, Row>();
    for (let cursor: string | null = ""; cursor !== null && found.size <= MOST_CHANGED;) {
      const page: Page = await this.#read({ updated_after, ...(cursor && { cursor }) }, filters);
      for (const session of page.sessions) found.set(session.session_id, rowOf(session));
      cursor = page.next;
    }
    return found;
  }

  #put(fresh: Row[], gone: Set<string>): void {
    const former = this.#rows.value;
    const known = new Set(former.map((row) => row.session_id));
    const added = fresh.filter((row) => !known.has(row.session_id)).length;
    const lost = [...gone].filter((id) => known.has(id)).length;
    this.#show(merged(former, fresh, gone, orderOf(this.filters), this.hasMore));
    if (!added && !lost) return;
    // a session further down, which no page had yet, may have come up: it was counted already
    if (this.hasMore) void this.#count();
    else this.total.value = this.#rows.value.length;
  }

  async #count(): Promise<void> {
    const query = { ...queryOf(this.filters), include: undefined, limit: 1 };
    const page = await answer(api.GET("/sessions", { params: { query }, signal: this.#closed.signal })).catch(
      () => null,
    );
    if (page) this.total.value = page.total;
  }
}
