/** Calls of the service: typed by the OpenAPI document, as the signed-in user. */

import { errorOf } from "amplifier-client/errors";
import { explained, Http, randomId } from "amplifier-client/http";
import type { components, paths } from "amplifier-client/openapi";
import createClient from "openapi-fetch";
import { SERVICE } from "../base";
import { credentialHeaders, credentials, refused } from "./credentials";
import { answering, unanswered } from "./reachable";

/** The objects of the OpenAPI document, as `Schemas["Session"]`. */
export type Schemas = components["schemas"];

const LIMIT = 30_000; // milliseconds that a request may take

/** Sends a request with the credentials. Streams set no limit of their own: their signal ends them. */
async function send(input: Request): Promise<Response> {
  const request = new Request(input);
  const used = credentials.value;
  for (const [name, value] of Object.entries(await credentialHeaders())) request.headers.set(name, value);
  try {
    const response = await fetch(request);
    answering.value = true;
    if (response.status === 401 && used === credentials.value) refused.value = true;
    return response;
  } catch (error) {
    if (!input.signal.aborted || input.signal.reason?.name === "TimeoutError") void unanswered();
    throw error;
  }
}

/** Sends a request within its time limit. Throws ProblemError and ConnectionError. */
async function call(input: Request): Promise<Response> {
  if (input.method !== "GET" && !input.headers.has("Idempotency-Key")) input.headers.set("Idempotency-Key", randomId());
  let response;
  try {
    response = await send(new Request(input, { signal: AbortSignal.any([input.signal, AbortSignal.timeout(LIMIT)]) }));
  } catch (error) {
    input.signal.throwIfAborted();
    throw explained(error, SERVICE);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** The calls by path: `await answer(api.GET("/sessions", { params: { query: { limit: 50 } } }))`. */
export const api = createClient<paths>({ baseUrl: SERVICE, fetch: call });

/** Returns the body of a call's answer. Throws ProblemError and ConnectionError. */
export async function answer<T>(made: Promise<{ data?: T }>): Promise<T> {
  return (await made).data as T;
}

/** Returns a file that the service makes while it is sent, without a time limit. Throws ProblemError and ConnectionError. */
export async function download(path: string, signal: AbortSignal): Promise<Response> {
  let response;
  try {
    response = await send(new Request(new URL(`${SERVICE}${path}`, location.href), { signal }));
  } catch (error) {
    signal.throwIfAborted();
    throw explained(error, SERVICE);
  }
  if (!response.ok) throw await errorOf(response);
  return response;
}

/** The same caller for streams, which `followed` of the client reads and resumes. */
export const http = new Http({ url: SERVICE, fetch: (input, init) => send(new Request(input, init)) });
