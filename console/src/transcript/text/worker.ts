/** The thread that reads Markdown and colours code: text that takes long there does not stop the page. */

import hljs from "highlight.js/lib/common";
import { lexed } from "./lexer";

/** A piece of work: Markdown, or code with its language. */
export interface Work {
  text: string;
  language?: string;
}

self.onmessage = ({ data: { text, language } }: MessageEvent<Work>) => {
  try {
    self.postMessage(language === undefined ? lexed(text) : coloured(text, language));
  } catch {
    self.postMessage(null); // nested too deeply
  }
};

/** Returns HTML with a span around each part of the code, or null in a language that is not known. */
function coloured(text: string, language: string): string | null {
  return hljs.getLanguage(language) ? hljs.highlight(text, { language, ignoreIllegals: true }).value : null;
}
