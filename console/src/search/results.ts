/** The results of the search: one at a time for the whole page, so that the way back from a hit leads to the same list. */

import { batch, signal } from "@preact/signals";
import type { paths } from "amplifier-client/openapi";
import { answer, api, type Schemas } from "../api/client";
import { person } from "../sign-in/sign-in";
import { showError } from "../ui/toast";
import { ofMessages, type Wanted } from "./address";
import { asTyped } from "./typed";

export type Hit = Schemas["Hit"];
export type FoundSession = Schemas["SessionSummary"];
export type Facets = Schemas["Facets"];
type Query = paths["/search/facets"]["get"]["parameters"]["query"];

const PAUSE = 80; // milliseconds after a key
const LONG_PAUSE = 250; // facets take as long as the search, and nobody reads them while typing
const FEW = 3; // sessions above the messages

const empty = {
  hits: [] as Hit[],
  next: null as string | null,
  notice: null as string | null,
  didYouMean: null as string | null,
  sessions: [] as FoundSession[],
  nextSessions: null as string | null,
  totalSessions: 0,
};

/** What was found; `wanted` is the search that it belongs to, null before the first. */
export const found = signal<typeof empty & { wanted: Wanted | null }>({ ...empty, wanted: null });
/** The counts, and the search that they belong to. */
export const counts = signal<{ wanted: Wanted; facets: Facets } | null>(null);
export const waiting = signal(false);
export const failure = signal<unknown>(undefined);
/** Why the next page is not there. */
export const pageFailure = signal<unknown>(undefined);

let last = ""; // the search that was asked for
let reader = person.peek(); // for whom
let control = new AbortController();

/** Searches. The request before is aborted, and its results stay until others are there. */
export function search(wanted: Wanted, isTyping: boolean, anew = false): void {
  if (reader !== person.peek()) forget();
  const asked = JSON.stringify(wanted);
  if (asked === last && !anew) return;
  last = asked;
  control.abort();
  control = new AbortController();
  failure.value = pageFailure.value = undefined;
  if (wanted.q.trim() === "") return clear();
  waiting.value = true;
  void run(wanted, isTyping ? PAUSE : 0, control.signal).catch((error: unknown) => fail(error));
}

/** Ends what goes on. Results stay for the way back. */
export function leave(): void {
  if (!waiting.value) return;
  control.abort();
  last = "";
  waiting.value = false;
}

/** Drops what the former person has found. */
function forget(): void {
  reader = person.peek();
  last = "";
  clear();
}

function clear(): void {
  batch(() => {
    found.value = { ...empty, wanted: null };
    counts.value = null;
    waiting.value = false;
  });
}

function fail(error: unknown): void {
  if (error instanceof DOMException && error.name === "AbortError") return;
  batch(() => {
    failure.value = error;
    waiting.value = false;
  });
}

async function run(wanted: Wanted, pause: number, signal: AbortSignal): Promise<void> {
  await passed(pause, signal);
  const query = queryOf(wanted);
  const [messages, sessions] = await Promise.all([
    answer(api.GET("/search", { params: { query: { ...query, sort: wanted.sort } }, signal })),
    ofMessages(wanted) || wanted.session_id ? undefined : listSessions(wanted, signal, FEW),
  ]);
  signal.throwIfAborted();
  batch(() => {
    found.value = {
      wanted,
      hits: messages.items,
      next: messages.next,
      notice: messages.notice,
      didYouMean: messages.did_you_mean ?? null,
      sessions: sessions?.sessions ?? [],
      nextSessions: sessions?.next ?? null,
      totalSessions: sessions?.total ?? 0,
    };
    waiting.value = false;
  });
  await passed(pause && LONG_PAUSE, signal);
  const facets = await answer(api.GET("/search/facets", { params: { query }, signal })).catch(() => null);
  signal.throwIfAborted();
  counts.value = facets && { wanted, facets }; // the hits are worth reading without them
}

/** Loads the next page of messages. */
export async function more(): Promise<void> {
  const { wanted, next } = found.value;
  if (!wanted || !next || waiting.value) return;
  waiting.value = true;
  pageFailure.value = undefined;
  const { signal } = control;
  try {
    const query = { ...queryOf(wanted), sort: wanted.sort, cursor: next };
    const page = await answer(api.GET("/search", { params: { query }, signal }));
    signal.throwIfAborted();
    found.value = { ...found.value, hits: [...found.value.hits, ...page.items], next: page.next };
  } catch (error) {
    if (!signal.aborted) pageFailure.value = error;
  }
  if (!signal.aborted) waiting.value = false;
}

/** Loads the next sessions. */
export async function moreSessions(): Promise<void> {
  const { wanted, nextSessions } = found.value;
  if (!wanted || !nextSessions) return;
  const { signal } = control;
  try {
    const page = await listSessions(wanted, signal, 20, nextSessions);
    signal.throwIfAborted();
    found.value = { ...found.value, sessions: [...found.value.sessions, ...page.sessions], nextSessions: page.next };
  } catch (error) {
    if (!signal.aborted) showError(error);
  }
}

function queryOf({ sort: _, q, tag, ...filters }: Wanted): Query {
  // the service refuses a value that it does not know, and says which it does
  return { q: asTyped(q), ...(filters as Partial<Query>), ...(tag.length ? { tag } : {}) };
}

function listSessions({ q, config_id, tag }: Wanted, signal: AbortSignal, limit: number, cursor?: string) {
  const query = { q: asTyped(q), limit, ...(config_id ? { config_id } : {}), ...(tag.length ? { tag } : {}) };
  return answer(api.GET("/sessions", { params: { query: cursor ? { ...query, cursor } : query }, signal }));
}

function passed(pause: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (!pause) return resolve();
    const timer = setTimeout(resolve, pause);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
