/** The agent of an open session: its run, the messages that wait, its answer in progress, and what it asks people. */

import { signal } from "@preact/signals";
import { answer as body, api, type Schemas } from "../api/client";
import type { LiveEvent } from "../api/follow";
import { type Answer, begun, grown, settled } from "./answer";

export type Run = Schemas["Run"];
export type Approval = Schemas["Approval"];

/** The run that goes on. */
export interface Running {
  runId: string;
  userId: string | null;
  cancelling: boolean;
}

/** The newest run, if it failed. */
export interface Failure {
  runId: string;
  detail: string;
}

const SHOWN = 30; // runs that are read: those that wait (20 at most, unless a setting says more) and the newest

export class Agent {
  readonly run = signal<Running | null>(null);
  readonly queue = signal<readonly Run[]>([]);
  readonly failure = signal<Failure | null>(null);
  readonly answer = signal<Answer | null>(null);
  readonly approvals = signal<readonly Approval[]>([]);
  /** The text of the answer that was completed last, for screen readers. */
  readonly completed = signal("");
  #ended = ""; // the run that ended last, of which events may still come
  #wanted = false;
  #reading: Promise<void> | null = null;

  constructor(private readonly sessionId: string) {}

  /** Reads runs and questions, again if something about them happens meanwhile. */
  load(): Promise<void> {
    this.#wanted = true;
    this.#reading ??= this.#read().finally(() => (this.#reading = null));
    return this.#reading;
  }

  take(event: LiveEvent): void {
    const { type, data } = event;
    if (type.startsWith("run.")) this.#ran(type, data, data.actor_user_id);
    else if (type.startsWith("approval.")) this.#asked(type, data);
    else if (type === "message.created") this.#settle(data.message);
    else if (type.includes(":") && data.run_id !== this.#ended) this.#said(event);
  }

  /** Stops the run that goes on, or takes back a message that waits. */
  async cancel(runId: string): Promise<void> {
    const params = { path: { session_id: this.sessionId }, query: { run_id: runId } };
    await body(api.POST("/sessions/{session_id}/cancel", { params }));
    this.queue.value = this.queue.value.filter((one) => one.run_id !== runId);
  }

  /** Answers a question of the agent. The first answer counts. */
  async decide(approvalId: string, decision: string): Promise<void> {
    const params = { path: { session_id: this.sessionId, approval_id: approvalId } };
    await body(api.POST("/sessions/{session_id}/approvals/{approval_id}", { params, body: { decision } }));
    this.#drop(approvalId);
  }

  /** Returns the text of the message that a run answers. */
  async messageOf(runId: string): Promise<string> {
    const params = { path: { session_id: this.sessionId, run_id: runId } };
    return textOf(await body(api.GET("/sessions/{session_id}/runs/{run_id}", { params })));
  }

  async #read(): Promise<void> {
    const params = { path: { session_id: this.sessionId } };
    while (this.#wanted) {
      this.#wanted = false;
      const [runs, approvals] = await Promise.all([
        body(api.GET("/sessions/{session_id}/runs", { params: { ...params, query: { limit: SHOWN } } })),
        body(api.GET("/sessions/{session_id}/approvals", { params })),
      ]);
      if (!this.#wanted) this.#show(runs.items, approvals.items);
    }
  }

  #show(runs: Run[], approvals: Approval[]): void {
    const running = runs.find((one) => one.status === "running");
    const newest = runs[0];
    this.queue.value = runs.filter((one) => one.status === "queued").reverse();
    this.approvals.value = approvals;
    this.failure.value =
      newest?.status === "failed" ? { runId: newest.run_id, detail: newest.error?.detail ?? "The run failed" } : null;
    if (!running) {
      this.run.value = this.answer.value = null;
    } else if (this.run.value?.runId !== running.run_id) {
      this.run.value = { runId: running.run_id, userId: running.user_id, cancelling: false };
      if (this.answer.value?.runId !== running.run_id) this.answer.value = begun(running.run_id, true);
    }
  }

  #ran(type: string, data: Record<string, any>, userId: string | null): void {
    const runId: string = data["run_id"];
    if (this.#reading) this.#wanted = true; // what is on its way may be older than this
    if (type === "run.queued") return void this.load().catch(() => null); // comes again with the next event
    this.queue.value = this.queue.value.filter((one) => one.run_id !== runId);
    if (type === "run.started") {
      this.failure.value = null;
      this.run.value = { runId, userId, cancelling: false };
      if (this.answer.value?.runId !== runId) this.answer.value = begun(runId);
      else this.answer.value = { ...this.answer.value, late: false }; // the agent may have said something before
    } else if (type === "run.cancelling") {
      if (this.run.value?.runId === runId) this.run.value = { ...this.run.value, cancelling: true };
    } else {
      this.#end(runId);
      if (type === "run.failed") this.failure.value = { runId, detail: data["error"]?.detail ?? "The run failed" };
    }
  }

  #end(runId: string): void {
    if (this.run.value && this.run.value.runId !== runId) return; // a message that waited was taken back
    this.#ended = runId;
    this.run.value = this.answer.value = null;
    this.approvals.value = this.approvals.value.filter((one) => one.run_id !== runId);
  }

  #asked(type: string, data: Record<string, any>): void {
    if (this.#reading) this.#wanted = true;
    if (type !== "approval.required") return this.#drop(data["approval_id"]);
    if (data["changed"]) return void this.load().catch(() => null);
    const { approval_id, run_id, prompt, options, expires_at, created_at } = data;
    const asked = { approval_id, run_id, prompt, options, expires_at, requested_at: created_at };
    this.#drop(approval_id);
    this.approvals.value = [...this.approvals.value, asked];
  }

  #drop(approvalId: string): void {
    this.approvals.value = this.approvals.value.filter((one) => one.approval_id !== approvalId);
  }

  #said(event: LiveEvent): void {
    const { run_id } = event.data;
    if (this.answer.value?.runId !== run_id) this.answer.value = begun(run_id, event.type !== "execution:start");
    this.answer.value = grown(this.answer.value!, event);
  }

  #settle(message: Record<string, unknown>): void {
    const { value } = this.answer;
    if (!value) return;
    this.answer.value = settled(value, message);
    if (message["role"] === "assistant") this.completed.value = spokenText(message["content"]);
  }
}

/** Returns the text of the message that a run answers. */
export function textOf(run: Run): string {
  return spokenText((run.message as { content?: unknown }).content);
}

/** Returns the texts of a message's content, without its other parts. */
export function spokenText(content: unknown): string {
  if (typeof content === "string") return content;
  const parts: { type?: string; text?: unknown }[] = Array.isArray(content) ? content : [];
  return parts.flatMap(({ type, text }) => (type === "text" && typeof text === "string" ? [text] : [])).join("\n");
}
