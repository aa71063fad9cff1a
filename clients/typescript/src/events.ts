/** Server-sent events: how they are read, and how a stream is resumed after its connection was lost. */

import { type Http, joined, mayRepeat, type Parts, pause, explained, waitFor } from "./http.js";

/** A server-sent event as it came. */
export interface RawEvent {
  id: string | null;
  type: string;
  data: string;
}

const SILENCE = 45_000; // milliseconds; the service sends something every 15 seconds
const MOST_FAILURES = 8; // attempts in a row without an event: about a minute

/** Yields the events of a body. Throws when nothing comes for 45 seconds. */
export async function* eventsOf(body: ReadableStream<Uint8Array>, end: AbortController): AsyncGenerator<RawEvent> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = "";
  try {
    for (;;) {
      const timer = setTimeout(() => end.abort(new Error("nothing came for 45 seconds")), SILENCE);
      const { done, value } = await reader.read().finally(() => clearTimeout(timer));
      if (done) return;
      rest += decoder.decode(value, { stream: true }).replaceAll("\r", "");
      for (let at = rest.indexOf("\n\n"); at >= 0; at = rest.indexOf("\n\n")) {
        const event = parsed(rest.slice(0, at));
        rest = rest.slice(at + 2);
        if (event) yield event;
      }
    }
  } finally {
    end.abort();
  }
}

/** Returns the event of a block of lines, or null if it has no data: a comment, or `retry`. */
function parsed(block: string): RawEvent | null {
  const event: RawEvent = { id: null, type: "message", data: "" };
  const data: string[] = [];
  for (const line of block.split("\n")) {
    const [, name, value = ""] = /^(id|event|data)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === "id") event.id = value;
    else if (name === "event") event.type = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { ...event, data: data.join("\n") } : null;
}

/** The request of a stream, and what is to be told about it. */
export interface Following {
  method: "GET" | "POST";
  path: string;
  parts: Parts;
  /** Called after each connection, with false after the first. */
  connected?: (again: boolean) => void;
  /** Returns whether the stream ends with this event. */
  last: (event: RawEvent) => boolean;
  /** Returns whether this event, which is not shown, asks to come back. */
  broken?: (event: RawEvent) => boolean;
}

/**
 * Yields the events of a stream. When the connection is lost, requests the rest with `Last-Event-ID`.
 *
 * Throws ProblemError when the service refuses, and ConnectionError when it is not reached for about a minute.
 */
export async function* followed(http: Http, given: Following): AsyncGenerator<RawEvent> {
  const { signal, headers = {}, query, ...parts } = given.parts;
  const { "Idempotency-Key": _, ...kept } = headers; // a request that resumes is another one
  let lastId: string | null = null;
  for (let failures = 0, again = false; ; again = true) {
    const end = new AbortController();
    try {
      const resumed = lastId === null ? { query, headers } : { headers: { ...kept, "Last-Event-ID": lastId } };
      const response = await opened(http, given, { ...parts, ...resumed, signal: joined(signal, end.signal) }, end);
      given.connected?.(again);
      for await (const event of eventsOf(response.body!, end)) {
        failures = 0;
        lastId = event.id ?? lastId;
        if (given.broken?.(event)) break;
        yield event;
        if (given.last(event)) return;
      }
      await pause(waitFor(null, ++failures), signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!mayRepeat(error) || ++failures > MOST_FAILURES) throw explained(error, http.url);
      await pause(waitFor(error, failures), signal);
    } finally {
      end.abort();
    }
  }
}

/** Returns the answer when its head is there, within the time that a request may take. */
async function opened(http: Http, given: Following, parts: Parts, end: AbortController): Promise<Response> {
  const timer = setTimeout(() => end.abort(new Error("the stream did not begin within 45 seconds")), SILENCE);
  try {
    return await http.open(given.method, given.path, parts);
  } finally {
    clearTimeout(timer);
  }
}
