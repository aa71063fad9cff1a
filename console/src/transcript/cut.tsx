/** Long text, of which the beginning is shown until somebody wants all. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../ui/button";

const SHOWN = 10_000; // characters

/** Returns the size of a text as people say it. */
export function sizeOf(characters: number): string {
  if (characters < 1000) return `${characters} characters`;
  return characters < 1_000_000 ? `${Math.round(characters / 1000)} kB` : `${(characters / 1_000_000).toFixed(1)} MB`;
}

interface Props {
  text: string;
  children: (shown: string) => ComponentChildren;
}

/** Hands on the beginning of a long text, and all of it after a click. */
export function Cut({ text, children }: Props) {
  const [all, setAll] = useState(false);
  if (all || text.length <= SHOWN * 1.2) return <>{children(text)}</>;
  return (
    <>
      {children(beginning(text))}
      <Button onClick={() => setAll(true)}>Show all ({sizeOf(text.length)})</Button>
    </>
  );
}

/** Returns the first lines, or of one long line the first characters, but no half of one. */
function beginning(text: string): string {
  const line = text.lastIndexOf("\n", SHOWN);
  const end = line > SHOWN / 2 ? line : SHOWN;
  const isHalf = /[\ud800-\udbff]/.test(text.charAt(end - 1));
  return text.slice(0, isHalf ? end - 1 : end);
}
