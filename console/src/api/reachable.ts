/** Whether the service answers: requests say so, and after a failure a question every few seconds. */

import { computed, signal } from "@preact/signals";
import { SERVICE } from "../base";

const LONGEST = 15_000; // milliseconds between two questions

/** Whether the browser has a network. */
export const online = signal(navigator.onLine);

/** Whether the last request was answered, be it by an error. */
export const answering = signal(true);

export const reachable = computed(() => online.value && answering.value);

addEventListener("online", () => (online.value = true));
addEventListener("offline", () => (online.value = false));

let asking = false;

/** Notes that a request was not answered, and asks until the service answers. */
export async function unanswered(): Promise<void> {
  answering.value = false;
  if (asking) return;
  asking = true;
  for (let wait = 1000; !answering.value; wait = Math.min(wait * 2, LONGEST)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (!answering.value && (await answers())) answering.value = true; // another request may have been answered meanwhile
  }
  asking = false;
}

function answers(): Promise<boolean> {
  return fetch(`${SERVICE}/health/live`, { cache: "no-store", signal: AbortSignal.timeout(5000) }).then(
    ({ status }) => status < 502,
    () => false,
  );
}
