/** The errors that calls throw: problems that the service answers with, and connections that fail. */

import type { components } from "./openapi.js";

export type Problem = components["schemas"]["Problem"];

/** The base of all errors of this client. */
export class AmplifierError extends Error {
  override name = "AmplifierError";
}

/** The service was not reached, did not answer in time, or broke off its answer. A write may have happened. */
export class ConnectionError extends AmplifierError {
  override name = "ConnectionError";
}

/** The service refused a request or failed. The message is the problem's `detail`, which says what to do. */
export class ProblemError extends AmplifierError {
  override name = "ProblemError";
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  /** The values that do not fit (422). */
  readonly errors: NonNullable<Problem["errors"]>;
  /** By which operators find the request in the log. */
  readonly requestId: string | null;
  /** Seconds after which a repeat makes sense, where the service says so. */
  readonly retryAfter: number | null;

  constructor(
    /** The whole problem document. */
    readonly problem: Problem,
    headers: Headers = new Headers(),
  ) {
    super(problem.detail);
    this.status = problem.status;
    this.title = problem.title;
    this.detail = problem.detail;
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id ?? headers.get("X-Request-ID");
    const seconds = Number(headers.get("Retry-After") ?? problem.retry_after ?? NaN);
    this.retryAfter = Number.isFinite(seconds) ? seconds : null;
  }
}

/** The credentials are missing or wrong (401). */
export class UnauthenticatedError extends ProblemError {
  override name = "UnauthenticatedError";
}

/** The caller may see it, but not do this (403). */
export class ForbiddenError extends ProblemError {
  override name = "ForbiddenError";
}

/** It does not exist, or not for the caller (404). */
export class NotFoundError extends ProblemError {
  override name = "NotFoundError";
}

/** It exists already, or its state does not allow this (409). */
export class ConflictError extends ProblemError {
  override name = "ConflictError";
}

/** The transcript or the resource has changed meanwhile (412). `problem.missed` and `problem.last_seq` say how. */
export class StaleError extends ProblemError {
  override name = "StaleError";
}

/** A value does not fit (422). `errors` names each. */
export class InvalidError extends ProblemError {
  override name = "InvalidError";
}

/** Too many requests, streams or waiting messages (429). */
export class TooManyRequestsError extends ProblemError {
  override name = "TooManyRequestsError";
}

/** The service cannot answer now (503). */
export class UnavailableError extends ProblemError {
  override name = "UnavailableError";
}

const CLASSES: Record<number, typeof ProblemError> = {
  401: UnauthenticatedError,
  403: ForbiddenError,
  404: NotFoundError,
  409: ConflictError,
  412: StaleError,
  422: InvalidError,
  429: TooManyRequestsError,
  503: UnavailableError,
};

/** Returns the error of a problem document, by its status. */
export function problemError(problem: Problem, headers?: Headers): ProblemError {
  return new (CLASSES[problem.status] ?? ProblemError)(problem, headers);
}

/** Returns the error of an answer that is no success, also if a proxy made it. */
export async function errorOf(response: Response): Promise<ProblemError> {
  const { status } = response;
  const known = { type: "about:blank", title: response.statusText, status };
  const text = await response.text().catch(() => "");
  try {
    const problem: unknown = JSON.parse(text);
    if (typeof problem === "object" && problem !== null && "detail" in problem) {
      return problemError({ ...known, ...problem, detail: String(problem.detail), status }, response.headers);
    }
  } catch {
    // no JSON: something between the client and the service answered
  }
  return problemError({ ...known, detail: `status ${status}: ${text.slice(0, 200)}` }, response.headers);
}
