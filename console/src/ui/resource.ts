/** Data that a view loads: with its states, and the former data while newer is on its way. */

import { useSignalEffect } from "@preact/signals";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { refused } from "../api/credentials";
import { reachable } from "../api/reachable";

export interface Resource<T> {
  data: T | undefined;
  error: unknown;
  loading: boolean;
  /** Loads anew. What is shown stays until the answer is there. */
  reload: () => void;
  /** Puts data in place that the caller knows already, as after a change. */
  set: (data: T) => void;
}

/**
 * Loads data now, and again whenever one of `inputs` changes; a request that is no longer wanted is aborted. A failure
 * is tried again when the service answers again, or somebody has signed in again.
 */
export function useResource<T>(load: (signal: AbortSignal) => Promise<T>, inputs: readonly unknown[]): Resource<T> {
  const [state, setState] = useState<{ data?: T; error?: unknown; loading: boolean }>({ loading: true });
  const [round, setRound] = useState(0);
  const current = useRef(load);
  current.current = load;
  useEffect(() => {
    const control = new AbortController();
    setState(({ data }) => ({ data, loading: true }));
    current.current(control.signal).then(
      (data) => control.signal.aborted || setState({ data, loading: false }),
      (error: unknown) => control.signal.aborted || setState(({ data }) => ({ data, error, loading: false })),
    );
    return () => control.abort();
  }, [...inputs, round]);
  const reload = useCallback(() => setRound((one) => one + 1), []);
  useRecovery(state.error, reload);
  const set = useCallback((data: T) => setState({ data, loading: false }), []);
  return { data: state.data, error: state.error, loading: state.loading, reload, set };
}

/** Calls `retry` when the page can reach the service again after an error. */
function useRecovery(error: unknown, retry: () => void): void {
  const failed = useRef(false);
  failed.current = error !== undefined;
  const well = useRef(true);
  useSignalEffect(() => {
    const former = well.current;
    well.current = reachable.value && !refused.value;
    if (well.current && !former && failed.current) retry();
  });
}
