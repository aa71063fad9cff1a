/** Code with its language, colours and a button that copies it. */

import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "../../ui/copy-button";
import { Coloured } from "../../ui/html";
import { Cut } from "../cut";
import { inBackground } from "./background";
import styles from "./code.module.css";

const LONGEST = 20_000; // characters that are coloured
const QUIET = 150; // milliseconds without a change before code is coloured: an answer in progress grows

interface Props {
  text: string;
  language?: string;
  /** The name of the block, if it is no code of a message. */
  name?: string;
}

/** A block of code. In a language that is not known, it is plain. */
export function Code({ text, language, name }: Props) {
  return (
    <div class={styles.code}>
      <div class={styles.bar}>
        <span>{name ?? language ?? "Text"}</span>
        <CopyButton text={text} what={name?.toLowerCase() ?? "code"} />
      </div>
      <Cut text={text}>
        {(shown) => (
          <pre tabIndex={0} role="group" aria-label={name ?? "Code"} dir="ltr">
            <Colours text={shown} language={language} />
          </pre>
        )}
      </Cut>
    </div>
  );
}

function Colours({ text, language }: { text: string; language?: string }) {
  const [found, setFound] = useState<{ text: string; html: string } | null>(null);
  useEffect(() => {
    if (!language || text.length > LONGEST) return;
    let wanted = true;
    const work = () =>
      inBackground<string>({ text, language }).then((html) => wanted && html !== null && setFound({ text, html }));
    const timer = setTimeout(work, QUIET);
    return () => (clearTimeout(timer), (wanted = false));
  }, [text, language]);
  return found?.text === text ? <Coloured html={found.html} /> : <code>{text}</code>;
}
