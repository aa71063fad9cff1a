/**
 * The AI SDK of Vercel: `useChat({ id, resume: true, transport: new AmplifierTransport({ create: { config_id } }) })`.
 *
 * The session's agent answers. The service keeps what is said and lets a page that is loaded again continue in the
 * middle of an answer. For an own route that answers, `readMessages` and `saveMessages` keep the UI messages.
 */

import type { ChatTransport, UIMessage, UIMessageChunk } from "ai";
import { Chunks } from "./ai-chunks.js";
import { textOf, uiMessages } from "./ai-messages.js";
import { batches } from "./batches.js";
import { Amplifier } from "./client.js";
import { AmplifierError } from "./errors.js";
import type { Options } from "./http.js";
import type { openapi } from "./openapi-names.js";
import type { AgentEvent } from "./runs.js";
import type { Message, Session } from "./session.js";

export { uiMessages } from "./ai-messages.js";

export interface TransportOptions extends Options {
  /** The members of a chat's new session: `config_id` says which agent answers. */
  create?: openapi.CreateSession;
  /** The client, in place of its options. */
  amplifier?: Amplifier;
}

const RETRACTED = 1000; // messages of a request

type Sending<T extends UIMessage> = Parameters<ChatTransport<T>["sendMessages"]>[0];
type Reconnecting<T extends UIMessage> = Parameters<ChatTransport<T>["reconnectToStream"]>[0];

/** Connects `useChat` to the agent of a session. The chat's id is the session's key. */
export class AmplifierTransport<T extends UIMessage = UIMessage> implements ChatTransport<T> {
  readonly resumeStreamIsReplay = true;
  readonly #amplifier: Amplifier;
  readonly #create: openapi.CreateSession | undefined;

  constructor({ create, amplifier, ...options }: TransportOptions = {}) {
    this.#amplifier = amplifier ?? new Amplifier(options);
    this.#create = create;
  }

  /** Returns the session of a chat. */
  session(chatId: string): Session {
    return this.#amplifier.session(chatId, this.#create);
  }

  /** Returns the messages of a chat, none if it is new. */
  async messages(chatId: string): Promise<T[]> {
    const session = await this.#amplifier.find(chatId);
    return session ? readMessages<T>(session) : [];
  }

  /** Stops the agent, where `stop()` of `useChat` only stops listening. */
  async cancel(chatId: string): Promise<boolean> {
    return this.session(chatId).cancel();
  }

  /** Sends the last message. With `regenerate`, and for a message that was edited, takes back what followed first. */
  async sendMessages(options: Sending<T>): Promise<ReadableStream<UIMessageChunk>> {
    const session = this.session(options.chatId);
    const text = textToSend(options.messages.at(-1));
    if (options.trigger === "regenerate-message" || options.messageId !== undefined) {
      await rewind(session, options.messages);
    }
    const given = { context: options.body as Message | undefined, signal: options.abortSignal };
    return streamOf(session.stream(text, given));
  }

  /** Returns the answer that is being made, from its beginning, or null if there is none. */
  async reconnectToStream({ chatId, abortSignal }: Reconnecting<T>): Promise<ReadableStream<UIMessageChunk> | null> {
    const session = await this.#amplifier.find(chatId);
    const run = session && (await activeRun(session));
    if (!run) return null;
    const { lastEventId, newest } = await beginningOf(session, run);
    const events = session.stream(textOf(run.message["content"]) || " ", { lastEventId, signal: abortSignal });
    return streamOf(events, newest);
  }
}

/** Returns the UI messages of a session. */
export async function readMessages<T extends UIMessage = UIMessage>(session: Session): Promise<T[]> {
  const entries: openapi.Entry[] = [];
  for await (const entry of session.entries()) entries.push(entry);
  return uiMessages<T>(entries);
}

/** Stores UI messages. Their ids are the keys: one that is stored is replaced by its newest form. */
export async function saveMessages(session: Session, messages: readonly UIMessage[]): Promise<void> {
  for (const batch of batches(messages)) {
    const keys = batch.map((message) => message.id);
    await session.append(batch as unknown as Message[], { keys, on_conflict: "replace" });
  }
}

/** Returns the text of a user's message. Throws for what the agent of a session is not sent. */
function textToSend(message: UIMessage | undefined): string {
  const texts = message?.role === "user" ? message.parts.map((part) => (part.type === "text" ? part.text : null)) : [];
  const text = texts.join("");
  if (!text || texts.includes(null)) {
    throw new AmplifierError("Send a message of the user with text alone: the agent of a session takes no other parts");
  }
  return text;
}

/** Takes back the last of the messages and all that follows it in the session. */
async function rewind(session: Session, messages: readonly UIMessage[]): Promise<void> {
  const number = messages.filter(({ role }) => role === "user").length;
  let [asked, left] = [0, 0];
  for await (const { message } of session.entries()) {
    if (message["role"] === "user") asked++;
    if (asked >= number) left++;
  }
  for (; left > 0; left -= RETRACTED) await session.retract({ last: Math.min(left, RETRACTED) });
}

/** Returns the run that an answer comes from now, or the first that waits. */
async function activeRun(session: Session): Promise<openapi.Run | null> {
  const list = async (status: string): Promise<{ items: openapi.Run[] }> =>
    session.request("GET", "/runs", { query: { status, limit: 1 } });
  const [running, queued] = await Promise.all([list("running"), list("queued")]);
  return running.items[0] ?? queued.items[0] ?? null;
}

/** Returns the id of the event before a run began, and the number of the newest message since. */
async function beginningOf(session: Session, run: openapi.Run): Promise<{ lastEventId: string; newest: number }> {
  const query = { order: "desc", limit: 100 };
  const page: openapi.Transcript = await session.request("GET", "/transcript", { query });
  if (run.started_at === null) return { lastEventId: `${run.run_id}:${page.last_seq}:queued`, newest: 0 };
  const begun = run.started_at;
  const asked = page.messages.find(({ message, created_at }) => message["role"] === "user" && created_at <= begun);
  const newest = page.messages[0]?.seq ?? 0;
  return { lastEventId: asked ? `${run.run_id}:${asked.seq - 1}` : `${run.run_id}:0:queued`, newest };
}

/** Returns the chunks of a run as a stream. Rejects if the service refuses the message. */
async function streamOf(events: AsyncGenerator<AgentEvent>, after = 0): Promise<ReadableStream<UIMessageChunk>> {
  const chunks = chunksOf(events, after);
  let first: Promise<IteratorResult<UIMessageChunk>> | null = Promise.resolve(await chunks.next());
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await (first ?? chunks.next());
      first = null;
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}

async function* chunksOf(events: AsyncGenerator<AgentEvent>, after: number): AsyncGenerator<UIMessageChunk> {
  const chunks = new Chunks(after);
  let begun = false;
  try {
    for await (const event of events) {
      for (const chunk of chunks.of(event)) {
        begun = true;
        yield chunk;
        if (chunk.type === "abort") return;
      }
    }
  } catch (error) {
    if (!begun || !(error instanceof AmplifierError)) throw error;
    yield { type: "error", errorText: error.message };
  }
}
