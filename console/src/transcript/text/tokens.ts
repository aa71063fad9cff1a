/** Tokens of a text: at once if it is short, else from another thread. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { inBackground } from "./background";
import { lexed, type Token } from "./lexer";

const SHORT = 8000; // characters that are read at once; the worst of them take 0.1 to 0.3 seconds
const MARKS = 1500; // characters that may begin or end something: the time grows with their square
const LONGEST = 150_000; // characters; longer texts are shown as they are

/** Tokens, and the end of the text that they do not have. */
export interface Tokens {
  tokens: Token[];
  rest: string;
}

/** Returns the tokens of a text. While a growing text is read, those of its former beginning. */
export function useTokens(text: string): Tokens {
  const atOnce = useMemo(() => immediate(text), [text]);
  const [found, setFound] = useState<{ text: string; tokens: Token[] } | null>(null);
  useEffect(() => {
    if (atOnce || text.length > LONGEST) return;
    let wanted = true;
    void inBackground<Token[]>({ text }).then((tokens) => wanted && tokens && setFound({ text, tokens }));
    return () => {
      wanted = false;
    };
  }, [text, atOnce]);
  if (atOnce) return { tokens: atOnce, rest: "" };
  if (found && text.startsWith(found.text)) return { tokens: found.tokens, rest: text.slice(found.text.length) };
  return { tokens: [], rest: text };
}

function immediate(text: string): Token[] | null {
  if (text.length > SHORT || text.replace(/[^~_*[\]`<]/g, "").length > MARKS) return null;
  try {
    return lexed(text);
  } catch {
    return null; // nested too deeply: the other thread will say the same
  }
}
