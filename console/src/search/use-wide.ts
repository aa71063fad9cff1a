import { signal } from "@preact/signals";

const query = matchMedia("(width >= 46rem)");
const wide = signal(query.matches);
query.addEventListener("change", () => (wide.value = query.matches));

/** Returns whether the filters have room beside the results. */
export function useWide(): boolean {
  return wide.value;
}
