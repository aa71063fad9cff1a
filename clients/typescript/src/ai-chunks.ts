/** The events of a run as chunks of the AI SDK's UI message stream. */

import type { FinishReason, UIMessageChunk } from "ai";
import { answerIdOf, resultOf, type Said, saidIn } from "./ai-messages.js";
import type { openapi } from "./openapi-names.js";
import { type AgentEvent, RECONNECTED } from "./runs.js";

type Kind = "text" | "reasoning";

const KINDS: Record<string, Kind> = { text: "text", thinking: "reasoning" };

const REASONS: Record<string, FinishReason> = { end_turn: "stop", max_tokens: "length", tool_calls: "tool-calls" };
const KNOWN = ["stop", "length", "content-filter", "tool-calls", "error"];

/** A part of an answer, or its beginning, and whether it is the first after a connection. */
interface Part {
  data: { request_id?: string; text?: string; block_type?: string; sequence?: number };
  begins: boolean;
  first: boolean;
}

/**
 * Converts the events of one run.
 *
 * Messages have numbers and come in order, parts of an answer have none and may overtake them: parts wait until the
 * message before theirs is there. After a connection, the first part repeats what the model has said so far if the run
 * is in the process that answers (it has a `sequence`). From another process it may begin in the middle: then nothing
 * is shown until the message is complete.
 */
export class Chunks {
  #started = false;
  #stepOpen = false;
  #stepDone = false;
  #joined = true; // connected, and no part of an answer since
  #hidden = false;
  #request: string | undefined; // the call of the model whose message is not complete
  #early: Part[] = [];
  #seen = 0;
  #count = 0;
  #open: { kind: Kind; id: string } | null = null;
  readonly #shown: Record<Kind, string> = { text: "", reasoning: "" };
  #reason: FinishReason | undefined;

  /** `after` is the number of the newest message of the run when the stream was requested. */
  constructor(private readonly after = 0) {}

  /** Yields the chunks of an event. */
  *of({ type, data, finish_reason }: AgentEvent): Generator<UIMessageChunk> {
    if (type === "connected" || type === RECONNECTED) this.#joined = true;
    else if (type === "llm:stream_block_start") yield* this.#part(data, true);
    else if (type === "llm:stream_block_delta") yield* this.#part(data, false);
    else if (type === "llm:stream_aborted") yield* this.#giveUp(data.request_id);
    else if (type === "message.created") yield* this.#message(data);
    else if (type === "run.cancelled") yield { type: "abort" };
    else if (type === "response") this.#reason = reasonOf(finish_reason);
    else if (type === "done") yield* this.#finish();
  }

  *#part(data: Part["data"], begins: boolean): Generator<UIMessageChunk> {
    const first = this.#joined && !begins;
    if (begins || data.block_type !== "thinking") this.#joined = false;
    this.#early.push({ data, begins, first });
    yield* this.#take();
  }

  /** Shows the parts whose turn it is. */
  *#take(): Generator<UIMessageChunk> {
    while (this.#early.length && this.#started && this.#seen >= this.after) {
      const { data, begins, first } = this.#early[0]!;
      this.#request ??= data.request_id;
      if (data.request_id !== this.#request) return;
      this.#early.shift();
      if (begins) this.#hidden = false;
      else yield* this.#delta(data, first);
    }
  }

  *#message({ seq, message }: openapi.Entry): Generator<UIMessageChunk> {
    this.#seen = seq;
    if (message["role"] === "user" && !this.#started) {
      this.#started = true;
      yield { type: "start", messageId: answerIdOf(seq) };
    } else if (message["role"] === "assistant") {
      yield* this.#complete(saidIn(message));
    } else if (message["role"] === "tool") {
      yield { type: "tool-output-available", dynamic: true, ...resultOf(message) };
    }
    yield* this.#take();
  }

  *#delta(data: Part["data"], first: boolean): Generator<UIMessageChunk> {
    const kind = KINDS[data.block_type ?? "text"];
    if (!kind) return;
    let { text = "" } = data;
    if (first) {
      this.#hidden = kind === "reasoning" || data.sequence === undefined;
      if (text.startsWith(this.#shown.text)) text = text.slice(this.#shown.text.length);
    }
    if (!this.#hidden) yield* this.#say(kind, text);
  }

  /** The model begins its answer anew. */
  *#giveUp(request?: string): Generator<UIMessageChunk> {
    this.#early = this.#early.filter(({ data }) => data.request_id !== request);
    if (request !== this.#request) return;
    yield* this.#close();
    this.#forget();
    yield* this.#take();
  }

  /** Shows what is missing of a message that is complete. */
  *#complete({ text, reasoning, calls }: Said): Generator<UIMessageChunk> {
    yield* this.#rest("reasoning", reasoning);
    yield* this.#rest("text", text);
    yield* this.#close();
    if (calls.length) yield* this.#step();
    for (const call of calls) yield { type: "tool-input-available", dynamic: true, ...call };
    this.#forget();
    this.#stepDone = true;
  }

  #forget(): void {
    this.#shown.text = this.#shown.reasoning = "";
    this.#hidden = false;
    this.#early = this.#early.filter(({ data }) => data.request_id !== this.#request);
    this.#request = undefined;
  }

  *#rest(kind: Kind, whole: string): Generator<UIMessageChunk> {
    const shown = this.#shown[kind];
    if (whole.startsWith(shown)) return yield* this.#say(kind, whole.slice(shown.length));
    yield* this.#close(); // parts were lost, or the model began anew: show it whole
    yield* this.#say(kind, whole);
  }

  *#say(kind: Kind, text: string): Generator<UIMessageChunk> {
    if (!text) return;
    yield* this.#step();
    if (this.#open?.kind !== kind) {
      yield* this.#close();
      this.#open = { kind, id: `${kind}-${this.#count++}` };
      yield { type: `${kind}-start`, id: this.#open.id };
    }
    this.#shown[kind] += text;
    yield { type: `${kind}-delta`, id: this.#open!.id, delta: text };
  }

  *#step(): Generator<UIMessageChunk> {
    if (this.#stepDone) yield { type: "finish-step" };
    if (!this.#stepOpen || this.#stepDone) yield { type: "start-step" };
    this.#stepOpen = true;
    this.#stepDone = false;
  }

  *#close(): Generator<UIMessageChunk> {
    if (this.#open) yield { type: `${this.#open.kind}-end`, id: this.#open.id };
    this.#open = null;
  }

  *#finish(): Generator<UIMessageChunk> {
    yield* this.#close();
    if (this.#stepOpen) yield { type: "finish-step" };
    yield { type: "finish", finishReason: this.#reason };
  }
}

function reasonOf(reason: string | null | undefined): FinishReason {
  const known = REASONS[reason ?? "stop"] ?? reason ?? "stop";
  return KNOWN.includes(known) ? (known as FinishReason) : "other";
}
