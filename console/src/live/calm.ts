/** Values that change many times a second, shown as often as rendering them allows. */

import { effect, type ReadonlySignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

const PAUSE = 120; // milliseconds between two renderings
const SHARE = 8; // and this many times as long as the last one took
const LONGEST = 2_000;

/** Returns the value of a signal, late when it changes often. A change that is `urgent` is shown at once. */
export function useCalm<T>(source: ReadonlySignal<T>, urgent: (shown: T, next: T) => boolean): T {
  const [shown, show] = useState(() => source.peek());
  const state = useRef({ shown, pause: PAUSE, began: 0 });
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const now = () => {
      clearTimeout(timer);
      timer = undefined;
      state.current.shown = source.peek();
      state.current.began = performance.now();
      show(() => state.current.shown);
    };
    const end = effect(() => {
      if (urgent(state.current.shown, source.value)) now();
      else timer ??= setTimeout(now, state.current.pause);
    });
    return () => (end(), clearTimeout(timer));
  }, [source]);
  useLayoutEffect(() => {
    const { began } = state.current;
    if (began) state.current.pause = Math.min(Math.max(PAUSE, SHARE * (performance.now() - began)), LONGEST);
  }, [shown]);
  return shown;
}
