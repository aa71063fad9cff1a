/** Runs of a session's agent: the stream of one, and its answer. */

import { problemError } from "./errors.js";
import { followed, type RawEvent } from "./events.js";
import { type Http, randomId } from "./http.js";

export interface SendOptions {
  /** Sent to the model after the message, as JSON. */
  context?: Record<string, unknown>;
  /** While the agent is at work, the message waits (the default), is refused, or interrupts it. */
  on_busy?: "enqueue" | "reject" | "interrupt";
  signal?: AbortSignal;
  /** The id of an event of a run: joins the run after that event instead of sending the message. */
  lastEventId?: string;
}

/** An event of a run: `type` as in the documentation of live events, or `connected`, `response`, `done`. */
export interface AgentEvent {
  type: string;
  /** By which a stream of this run is resumed. */
  id: string | null;
  data?: any;
  /** The answer, in the event `response`. */
  content?: string;
  finish_reason?: string | null;
}

/** The agent's answer. */
export interface Answer {
  response: string;
  finish_reason: string | null;
  run_id: string;
}

/** A client's own event, when the connection was lost and is there again. */
export const RECONNECTED = "reconnected";

/** Yields the events of a run. Throws ProblemError when it fails. */
export async function* run(
  http: Http,
  path: string,
  message: string,
  options: SendOptions,
): AsyncGenerator<AgentEvent> {
  const { signal, lastEventId, ...given } = options;
  const headers: Record<string, string> = lastEventId
    ? { "Last-Event-ID": lastEventId }
    : { "Idempotency-Key": randomId() };
  const parts = { body: { message, ...given }, headers, signal };
  let again = false;
  const connected = (value: boolean) => void (again = value);
  const stream = followed(http, { method: "POST", path, parts, connected, last, broken });
  for await (const { id, data } of stream) {
    const event: AgentEvent & { detail?: string } = { ...JSON.parse(data), id };
    if (event.type === "error") throw failure(event);
    if (event.type === "connected" && again) event.type = RECONNECTED;
    yield event;
  }
}

/** Returns the answer at the end of a stream. */
export async function answered(stream: AsyncIterable<AgentEvent>): Promise<Answer> {
  const answer: Answer = { response: "", finish_reason: null, run_id: "" };
  for await (const event of stream) {
    if (event.id) answer.run_id = event.id.split(":")[0]!;
    if (event.type === "response") {
      answer.response = event.content ?? "";
      answer.finish_reason = event.finish_reason ?? null;
    }
  }
  return answer;
}

const ENDS = /^\{"type":"(done|error)"/;
const COME_BACK = /^\{"type":"error".*come back with .*Last-Event-ID/;

function last(event: RawEvent): boolean {
  return ENDS.test(event.data);
}

/** The service stops, or the token has expired: the run continues. */
function broken(event: RawEvent): boolean {
  return COME_BACK.test(event.data);
}

/** Returns the error of a run that failed, with the status that `POST /messages` has for it where that is known. */
function failure(event: { detail?: string; code?: string; retry_after?: number }): Error {
  const { detail = "The run failed", code, retry_after } = event;
  const more = { ...(code ? { code } : {}), ...(retry_after === undefined ? {} : { retry_after }) };
  return problemError({ type: "about:blank", title: "The run failed", status: 502, detail, ...more });
}
