import { useSearchParams } from "wouter-preact";

/** Returns the parameters of the address, and a function that changes some; null removes one. */
export function useAddress() {
  const [address, setAddress] = useSearchParams();
  function change(values: Record<string, string | null>): void {
    setAddress(
      (former) => {
        const next = new URLSearchParams(former);
        for (const [name, value] of Object.entries(values)) value === null ? next.delete(name) : next.set(name, value);
        return next;
      },
      { replace: true },
    );
  }
  return [address, change] as const;
}
