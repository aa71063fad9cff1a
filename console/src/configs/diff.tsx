import { structuredPatch } from "diff";
import { classes } from "../ui/classes";
import type { Content } from "./calls";
import { contentOf } from "./draft";
import { print } from "./json";
import { masker } from "./secrets";
import styles from "./configs.module.css";

const CONTEXT = 3; // lines around each difference
const LIMIT = 2_000; // milliseconds

interface Props {
  former: Content;
  present: Content;
  /** Names the comparison for those who do not see it. */
  name: string;
}

/** The differences of two versions of a config by lines, secrets as marks. */
export function Diff({ former, present, name }: Props) {
  const mask = masker();
  const [one, other] = [former, present].map((content) => `${print(mask(contentOf(content)))}\n`) as [string, string];
  const patch = structuredPatch("", "", one, other, "", "", { context: CONTEXT, timeout: LIMIT });
  if (!patch) return <p role="status">They differ too much to be compared line by line.</p>;
  if (patch.hunks.length === 0) return <p role="status">There is no difference.</p>;
  return (
    <div class={styles.diff} role="region" aria-label={name} tabIndex={0}>
      {patch.hunks.map((hunk, index) => (
        <pre key={index}>
          {hunk.lines.map((line, number) => (
            <Line key={number} line={line} />
          ))}
        </pre>
      ))}
    </div>
  );
}

function Line({ line }: { line: string }) {
  const text = `${line}\n`;
  if (line.startsWith("-")) return <del class={classes(styles.line, styles.removed)}>{text}</del>;
  if (line.startsWith("+")) return <ins class={classes(styles.line, styles.added)}>{text}</ins>;
  return <span class={styles.line}>{text}</span>;
}
