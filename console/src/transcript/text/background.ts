/** Work on hostile or long text, in another thread and for a bounded time. */

import { trustedScript } from "../../ui/trusted";
import type { Work } from "./worker";
import address from "./worker?worker&url";

const LIMIT = 3000; // milliseconds for a piece of work, the start of the thread included
const KEPT = 60; // results

interface Waiting {
  work: Work;
  done: (result: unknown) => void;
}

const results = new Map<string, Promise<unknown>>();
const queue: Waiting[] = [];
let thread: Worker | null = null;
let busy = false;

/** Returns the result, or null if it took too long or failed. The same work is done once. */
export function inBackground<T>(work: Work): Promise<T | null> {
  const key = `${work.language ?? ""}\n${work.text}`;
  let result = results.get(key);
  if (!result) {
    result = new Promise((done) => queue.push({ work, done }));
    results.set(key, result);
    if (results.size > KEPT) results.delete(results.keys().next().value!);
    next();
  }
  return result as Promise<T | null>;
}

function next(): void {
  const waiting = busy ? undefined : queue.shift();
  if (!waiting) return;
  busy = true;
  const worker = (thread ??= new Worker(trustedScript(address), { type: "module" }));
  const end = (result: unknown, failed: boolean) => {
    clearTimeout(timer);
    worker.onmessage = worker.onerror = null;
    if (failed) {
      worker.terminate();
      thread = null;
    }
    busy = false;
    waiting.done(result);
    next();
  };
  const timer = setTimeout(() => end(null, true), LIMIT);
  worker.onmessage = ({ data }: MessageEvent<unknown>) => end(data, false);
  worker.onerror = () => end(null, true);
  worker.postMessage(waiting.work);
}
