/** How far the results were scrolled when one of them was opened, for the way back. */

import { useEffect } from "preact/hooks";

let kept = { address: "", top: 0 };

const main = () => document.getElementById("main")!;

export function keepScroll(): void {
  kept = { address: location.search, top: main().scrollTop };
}

/** Scrolls back when the same search is shown again. */
export function useScroll(): void {
  useEffect(() => {
    if (kept.address !== location.search) return;
    const frame = requestAnimationFrame(() => (main().scrollTop = kept.top));
    return () => cancelAnimationFrame(frame);
  }, []);
}
