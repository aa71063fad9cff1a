import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLocation, useSearch } from "wouter-preact";
import { searchPath, wantedOf, type Wanted } from "./address";
import { search } from "./results";

const PAUSE = 300; // milliseconds: browsers refuse more than a hundred changes of the address in half a minute

export interface Asked {
  /** The search with what is typed now. */
  wanted: Wanted;
  setQ: (q: string) => void;
  /** Writes what is typed into the address now. */
  write: () => void;
  /** Searches with other filters; the way back leads to the former ones. */
  change: (wanted: Wanted) => void;
}

/** The search of the address, which follows the field while somebody types. */
export function useQuery(): Asked {
  const address = useSearch();
  const [, navigate] = useLocation();
  const inAddress = useMemo(() => wantedOf(address), [address]);
  const [q, setQ] = useState(inAddress.q);
  const written = useRef(inAddress.q);
  useEffect(() => {
    if (written.current !== inAddress.q) setQ(inAddress.q); // the way back, or a link
    written.current = inAddress.q;
  }, [inAddress]);
  const wanted = { ...inAddress, q };
  function write() {
    if (q === inAddress.q) return;
    written.current = q;
    navigate(searchPath(wanted), { replace: true });
  }
  useEffect(() => {
    search(wanted, q !== inAddress.q);
    const timer = setTimeout(write, PAUSE);
    return () => clearTimeout(timer);
  }, [address, q]);
  function change(other: Wanted) {
    written.current = other.q;
    setQ(other.q);
    navigate(searchPath(other));
  }
  return { wanted, setQ, write, change };
}
