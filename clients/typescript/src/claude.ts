/**
 * The session store for the Claude Agent SDK.
 *
 * `query({ prompt, options: { sessionStore: new AmplifierSessionStore() } })`
 *
 * A transcript is a session with the key `claude/PROJECT/SESSION`, that of a subagent has its subpath besides.
 * The `uuid` of an entry is the key of its message, so that a repeated batch stores nothing twice.
 */

import {
  foldSessionSummary,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
  type SessionSummaryEntry,
} from "@anthropic-ai/claude-agent-sdk";
import { batches } from "./batches.js";
import { Amplifier } from "./client.js";
import { StaleError } from "./errors.js";
import type { Options, Query } from "./http.js";
import type { Session } from "./session.js";

type Summary = SessionSummaryEntry["data"];

const SUMMARY = "claude_summary_typescript"; // in the session's state; the SDK for Python folds another form
const KNOWN = 1000; // transcripts that are remembered
const ATTEMPTS = 20; // of an append that other processes overtake
const TITLES = ["customTitle", "aiTitle", "firstPrompt"];

/** Keeps transcripts of the Claude Agent SDK in Amplifier. */
export class AmplifierSessionStore implements SessionStore {
  readonly #amplifier: Amplifier;
  readonly #sessions = new Map<string, Session>();
  readonly #summaries = new Map<string, { seq: number; data: Summary }>();
  readonly #tails = new Map<string, Promise<void>>();

  constructor(given: Amplifier | Options = {}) {
    this.#amplifier = given instanceof Amplifier ? given : new Amplifier(given);
  }

  /** Adds entries in the order of the calls. Those whose `uuid` is stored are skipped. */
  async append(key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    const text = keyOf(key);
    const turn = (this.#tails.get(text) ?? Promise.resolve()).then(() => this.#append(key, entries));
    const tail = turn.catch(() => undefined);
    this.#tails.set(text, tail);
    await turn.finally(() => this.#tails.get(text) === tail && this.#tails.delete(text));
  }

  async #append(key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    for (const batch of batches(withoutRepeats(entries))) {
      if (key.subpath) await this.#session(key).append(batch, { keys: uuidsOf(batch) });
      else await this.#appendWithSummary(key, batch);
    }
  }

  /** Adds entries and folds them into the summary, in one transaction that no other process overtakes. */
  async #appendWithSummary(key: SessionKey, entries: SessionStoreEntry[]): Promise<void> {
    const session = this.#session(key);
    for (let attempt = 0; ; attempt++) {
      const { seq, data } = this.#summaries.get(keyOf(key)) ?? (await summaryOf(session));
      const folded = foldSessionSummary({ sessionId: key.sessionId, mtime: 0, data }, key, entries).data;
      const state = { session: { [SUMMARY]: patch(data, folded) } };
      try {
        const { last_seq } = await session.append(entries, { keys: uuidsOf(entries), state, expected_seq: seq });
        remember(this.#summaries, keyOf(key), { seq: last_seq, data: folded });
        if (titleOf(folded) === titleOf(data)) return;
        const titled = await session.update({ title: titleOf(folded) });
        // the change is an event: if others appended before it, the next append reads their summary
        if (titled.last_seq === last_seq + 1)
          remember(this.#summaries, keyOf(key), { seq: titled.last_seq, data: folded });
        return;
      } catch (error) {
        this.#summaries.delete(keyOf(key));
        if (!(error instanceof StaleError) || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** Returns all entries, or null if there are none. */
  async load(key: SessionKey): Promise<SessionStoreEntry[] | null> {
    const session = await this.#amplifier.find(keyOf(key));
    const entries = session ? ((await session.plain()) as SessionStoreEntry[]) : [];
    return entries.length ? entries : null;
  }

  /** Returns the sessions of a project with the times of their last change. */
  async listSessions(projectKey: string): Promise<{ sessionId: string; mtime: number }[]> {
    const rows = await this.#main(projectKey);
    return rows.map(({ rest, mtime }) => ({ sessionId: rest, mtime }));
  }

  /** Returns the summaries that the SDK shows in lists, for all sessions of a project that it wrote. */
  async listSessionSummaries(projectKey: string): Promise<SessionSummaryEntry[]> {
    const rows = await this.#main(projectKey, { include: "state" });
    return rows.flatMap(({ rest, mtime, summary }) => (summary ? [{ sessionId: rest, mtime, data: summary }] : []));
  }

  async #main(projectKey: string, query: Query = {}): Promise<Row[]> {
    const rows = await this.#below(`${keyOf({ projectKey })}/`, { claude_project: projectKey }, query);
    return rows.filter(({ rest }) => !rest.includes("/"));
  }

  /** Returns the subpaths of a session, such as those of subagents. */
  async listSubkeys(key: { projectKey: string; sessionId: string }): Promise<string[]> {
    const listed = await this.#below(`${keyOf(key)}/`, {
      claude_project: key.projectKey,
      claude_session: key.sessionId,
    });
    return listed.map(({ rest }) => rest);
  }

  /** Deletes a transcript, and with a main transcript those below it. */
  async delete(key: SessionKey): Promise<void> {
    const subpaths = key.subpath ? [] : await this.listSubkeys(key);
    for (const one of [...subpaths.map((subpath) => ({ ...key, subpath })), key]) {
      await this.#session(one).delete();
      this.#sessions.delete(keyOf(one));
      this.#summaries.delete(keyOf(one));
    }
  }

  /** Returns the session of a transcript, which is made when it is used first. */
  #session(key: SessionKey): Session {
    const text = keyOf(key);
    let session = this.#sessions.get(text);
    if (!session) {
      const tags = { claude_project: key.projectKey, claude_session: key.sessionId };
      session = this.#amplifier.session(text, { tags });
      remember(this.#sessions, text, session);
    }
    return session;
  }

  /** Returns own sessions with these tags and messages, and what follows `prefix` in their keys. */
  async #below(prefix: string, tags: Record<string, string>, query: Query = {}): Promise<Row[]> {
    const tag = Object.entries(tags).map(([name, value]) => `${name}:${value}`);
    const found: Row[] = [];
    for await (const row of this.#amplifier.sessions({ tag, owned: true, sort: "created_at", ...query })) {
      if (!row.external_id?.startsWith(prefix) || row.messages_total === 0) continue;
      const summary = row.state?.document[SUMMARY] as Summary | undefined;
      found.push({ rest: row.external_id.slice(prefix.length), mtime: Date.parse(row.updated_at), summary });
    }
    return found;
  }
}

/** A session in a list: what follows the prefix in its key, and the milliseconds of its last change. */
interface Row {
  rest: string;
  mtime: number;
  summary: Summary | undefined;
}

/** Returns the key of a transcript's session. */
function keyOf({
  projectKey,
  sessionId,
  subpath,
}: {
  projectKey: string;
  sessionId?: string;
  subpath?: string;
}): string {
  return ["claude", projectKey, sessionId, subpath].filter((part) => part !== undefined && part !== "").join("/");
}

function withoutRepeats(entries: SessionStoreEntry[]): SessionStoreEntry[] {
  const seen = new Set<string>();
  return entries.filter(({ uuid }) => uuid === undefined || (!seen.has(uuid) && seen.add(uuid)));
}

const uuidsOf = (entries: SessionStoreEntry[]): (string | null)[] => entries.map(({ uuid }) => uuid || null);

/** Returns the summary of a session, and the number after which the next entries come. */
async function summaryOf(session: Session): Promise<{ seq: number; data: Summary }> {
  const { last_seq, messages_total } = await session.get();
  const document: Record<string, unknown> = messages_total ? (await session.state()).session.document : {};
  return { seq: last_seq, data: (document[SUMMARY] ?? {}) as Summary };
}

/** Returns the JSON merge patch between two summaries, which are flat. */
function patch(former: Summary, present: Summary): Summary {
  const gone = Object.keys(former).filter((name) => present[name] === undefined);
  const changed = Object.entries(present).filter(([name, value]) => former[name] !== value);
  return Object.fromEntries([...gone.map((name) => [name, null]), ...changed]);
}

function titleOf(summary: Summary): string | null {
  const title = TITLES.map((name) => summary[name]).find(Boolean);
  return title === undefined ? null : String(title).slice(0, 255);
}

/** Sets a value, and forgets the one that was set the longest time ago where there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size > KNOWN) map.delete(map.keys().next().value!);
}
