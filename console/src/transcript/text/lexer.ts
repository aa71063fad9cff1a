/** Markdown as tokens. No HTML is made of it: components render the tokens. */

import { Lexer, type Tokens } from "marked";

/** A token of any type: `type` and `raw`, and what its type has besides. */
export type Token = Tokens.Generic;

/** Returns the tokens of a text. Throws a RangeError if it is nested too deeply. */
export function lexed(text: string): Token[] {
  return [...new Lexer({ gfm: true, breaks: true }).lex(text)];
}
