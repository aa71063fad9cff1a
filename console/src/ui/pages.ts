/** Lists that are loaded by pages, as one scrolls. */

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

export interface Pages<T> {
  items: readonly T[];
  error: unknown;
  /** Whether a page is on its way. */
  loading: boolean;
  /** Whether there is a further page. */
  more: boolean;
  /** Loads the next page, or the one that failed once more. */
  loadMore: () => void;
  /** Loads the list anew from its beginning. What is shown stays until the answer is there. */
  reload: () => void;
}

interface State<T> {
  items: readonly T[];
  next: string | null;
  error?: unknown;
  loading: boolean;
}

/** Loads the first page now and whenever one of `inputs` changes. `load` gets the cursor, undefined for the first page. */
export function usePages<T>(
  load: (cursor: string | undefined, signal: AbortSignal) => Promise<{ items: readonly T[]; next: string | null }>,
  inputs: readonly unknown[],
): Pages<T> {
  const [state, setState] = useState<State<T>>({ items: [], next: null, loading: true });
  const [round, setRound] = useState(0);
  const current = useRef({ load, state, control: new AbortController() });
  current.current.load = load;
  current.current.state = state;
  const page = useCallback((cursor: string | undefined) => {
    const { control, load } = current.current;
    setState(({ items, next }) => ({ items, next, loading: true }));
    load(cursor, control.signal).then(
      ({ items, next }) =>
        control.signal.aborted ||
        setState((former) => ({ items: cursor ? [...former.items, ...items] : items, next, loading: false })),
      (error: unknown) =>
        control.signal.aborted || setState(({ items, next }) => ({ items, next, error, loading: false })),
    );
  }, []);
  useEffect(() => {
    const control = (current.current.control = new AbortController());
    page(undefined);
    return () => control.abort();
  }, [...inputs, round]);
  const loadMore = useCallback(() => {
    const { loading, next, items } = current.current.state;
    if (!loading && (next !== null || items.length === 0)) page(next ?? undefined);
  }, []);
  const reload = useCallback(() => setRound((one) => one + 1), []);
  const { items, next, error, loading } = state;
  return { items, error, loading, more: next !== null, loadMore, reload };
}
