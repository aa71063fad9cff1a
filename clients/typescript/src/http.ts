/** Requests: address, credentials, time limits and repeats. */

import { AmplifierError, ConnectionError, errorOf, type ProblemError } from "./errors.js";

/** The address of the service and the credentials of the caller. Both may come from environment variables. */
export interface Options {
  /** The address of the service: `AMPLIFIER_URL`, or http://127.0.0.1:8765. */
  url?: string;
  /** The key of the application: `AMPLIFIER_API_KEY`. It belongs on servers, not in web pages. */
  apiKey?: string;
  /** The token of the user: `AMPLIFIER_TOKEN`. A function is called for each request, and can renew the token. */
  token?: string | (() => string | Promise<string>);
  /** The user for whom an application with the permission `act_as` calls without a token: `AMPLIFIER_USER_ID`. */
  user?: string;
  /** Milliseconds that a request may take: 30,000. */
  timeoutMs?: number;
  /** Repeats of a request that was not answered, or got 429 or 503: 3. */
  retries?: number;
  /** The function that sends requests: `fetch`. */
  fetch?: typeof fetch;
}

export type Query = Record<string, string | number | boolean | null | undefined | readonly string[]>;

/** The parts of a request. */
export interface Parts {
  query?: Query;
  /** A value that is sent as JSON. */
  body?: unknown;
  /** The body as it is sent. */
  text?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Sends an Idempotency-Key, so that a repeat changes nothing twice. */
  once?: boolean;
}

const LONGEST_WAIT = 10_000; // milliseconds between two attempts
const environment: Record<string, string | undefined> =
  (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env ?? {};

/** Sends requests to one service as one caller. */
export class Http {
  readonly url: string;
  readonly #options: Options;
  readonly #retries: number;

  constructor(options: Options = {}) {
    this.url = (options.url ?? environment["AMPLIFIER_URL"] ?? "http://127.0.0.1:8765").replace(/\/+$/, "");
    this.#options = options;
    this.#retries = options.retries ?? 3;
  }

  /** Returns the answer as JSON, or null without a body. Throws ProblemError and ConnectionError. */
  async json<T>(method: string, path: string, parts: Parts = {}): Promise<T> {
    return this.#repeated(parts, async (sent) => {
      const limit = AbortSignal.timeout(this.#options.timeoutMs ?? 30_000);
      const response = await this.open(method, path, { ...sent, signal: joined(parts.signal, limit) });
      const text = await response.text();
      return (text ? JSON.parse(text) : null) as T;
    });
  }

  /** Returns the answer of one attempt when its head is there. Throws ProblemError if it is no success. */
  async open(method: string, path: string, parts: Parts = {}): Promise<Response> {
    const { body, text = body === undefined ? null : JSON.stringify(body) } = parts;
    const response = await (this.#options.fetch ?? fetch)(this.url + path + encoded(parts.query), {
      method,
      headers: { ...(await this.#credentials()), ...(body === undefined ? {} : JSON_TYPE), ...parts.headers },
      body: text,
      signal: parts.signal ?? null,
    });
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  async #repeated<T>(parts: Parts, attempt: (parts: Parts) => Promise<T>): Promise<T> {
    const headers = parts.once ? { ...parts.headers, "Idempotency-Key": randomId() } : parts.headers;
    for (let number = 0; ; number++) {
      try {
        return await attempt(headers ? { ...parts, headers } : parts);
      } catch (error) {
        parts.signal?.throwIfAborted();
        if (number >= this.#retries || !mayRepeat(error)) throw explained(error, this.url);
        await pause(waitFor(error, number), parts.signal);
      }
    }
  }

  async #credentials(): Promise<Record<string, string>> {
    const { apiKey = environment["AMPLIFIER_API_KEY"], user = environment["AMPLIFIER_USER_ID"] } = this.#options;
    const given = this.#options.token ?? environment["AMPLIFIER_TOKEN"];
    const token = typeof given === "function" ? await given() : given;
    return {
      ...(apiKey ? { "X-API-Key": apiKey } : {}),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(user && !token ? { "X-User-ID": user } : {}),
    };
  }
}

export const JSON_TYPE = { "Content-Type": "application/json" };

/** Returns the query string. A list becomes one parameter for each value. */
function encoded(query: Query = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === null ? [] : [value].flat().map((one) => [name, String(one)]),
  );
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

/** Returns whether a repeat may help: nothing came, or the service asks for one. */
export function mayRepeat(error: unknown): boolean {
  if (!(error instanceof AmplifierError)) return true;
  const { status, problem, retryAfter } = error as ProblemError;
  if (problem?.run_id) return false; // the run failed, and a repeat would show the same run
  return status === 429 || status === 503 || status === 502 || (status === 409 && retryAfter !== null);
}

/** Returns the milliseconds to wait before another attempt. */
export function waitFor(error: unknown, number: number): number {
  const asked = (error as Partial<ProblemError> | null)?.retryAfter;
  const wait = asked != null ? asked * 1000 : 200 * 2 ** number;
  return Math.min(wait, LONGEST_WAIT) * (1 + Math.random() / 4);
}

/** Returns the error to throw: one of this client. */
export function explained(error: unknown, url: string): unknown {
  if (error instanceof AmplifierError) return error;
  const cause = (error as { cause?: unknown }).cause ?? error;
  const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new ConnectionError(`${url} did not answer (${reason}): start the service, or set AMPLIFIER_URL`, { cause });
}

/** Waits for so many milliseconds, or throws when the signal is aborted. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = () => (clearTimeout(timer), reject(signal?.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", ended), resolve()), milliseconds);
    if (signal?.aborted) ended();
    else signal?.addEventListener("abort", ended, { once: true });
  });
}

/** Returns a signal that is aborted with the first of these. */
export function joined(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((one) => one !== undefined));
}

/** Returns 128 random bits as text, also in pages without `crypto.randomUUID`. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
