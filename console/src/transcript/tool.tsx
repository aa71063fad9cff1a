/** A call of a tool with its result. */

import { classes } from "../ui/classes";
import { Fold, preview } from "./fold";
import { json, withoutAnsi } from "./json";
import { PartView } from "./part";
import { agentOf, outcomeOf } from "./results";
import type { Block, Call, Result } from "./reading/parts";
import { Code } from "./text/code";
import { Markdown } from "./text/markdown";
import styles from "./tool.module.css";

interface Props {
  id: string;
  call: Call;
  result: Result | undefined;
}

/** A call, folded: its name and arguments in a line, within it arguments and result side by side. */
export function ToolCall({ id, call, result }: Props) {
  const sub = agentOf(call);
  const failed = result ? outcomeOf(result).failed : false;
  const line = sub ? preview(sub.task) : preview(Object.values(call.arguments).map(oneLine).join(", "));
  const summary = (
    <>
      <span class={styles.kind}>{sub ? "Sub-agent" : "Tool"}</span>
      <bdi class={styles.name}>{sub ? sub.agent : call.name}</bdi>
      <span class={styles.line} dir="auto">
        {line}
      </span>
      {failed && <span class={styles.failed}>Error</span>}
      {!result && <span class={styles.open}>No result</span>}
    </>
  );
  return (
    <Fold id={id} summary={summary} kind={failed ? "error" : undefined}>
      {() => (
        <div class={styles.sides}>
          <section aria-label="Arguments">
            {sub ? <Markdown text={sub.task} /> : <Arguments given={call.arguments} />}
          </section>
          {result && (
            <section aria-label="Result">
              <ResultView id={id} result={result} asText={sub !== null} />
            </section>
          )}
        </div>
      )}
    </Fold>
  );
}

/** A result whose call is not among the loaded messages. */
export function LoneResult({ id, result }: { id: string; result: Result }) {
  const { failed, text } = outcomeOf(result);
  const summary = (
    <>
      <span class={styles.kind}>Result</span>
      {result.name && <bdi class={styles.name}>{result.name}</bdi>}
      <span class={styles.line} dir="auto">
        {text === null ? `${result.content.length} parts` : preview(text)}
      </span>
      {failed && <span class={styles.failed}>Error</span>}
    </>
  );
  return (
    <Fold id={id} summary={summary} kind={failed ? "error" : undefined}>
      {() => <ResultView id={id} result={result} />}
    </Fold>
  );
}

/** Arguments: texts of several lines as they are, everything else as JSON. */
function Arguments({ given }: { given: Block }) {
  const long = Object.entries(given).filter(([, value]) => typeof value === "string" && value.includes("\n"));
  const others = Object.entries(given).filter(([name]) => !long.some(([one]) => one === name));
  return (
    <>
      {(others.length > 0 || long.length === 0) && (
        <Code name="Arguments" text={json(Object.fromEntries(others))} language="json" />
      )}
      {long.map(([name, value]) => (
        <Code key={name} name={name} text={value as string} />
      ))}
    </>
  );
}

function ResultView({ id, result, asText }: { id: string; result: Result; asText?: boolean }) {
  const { failed, text, isJson } = outcomeOf(result);
  if (text === null)
    return (
      <>
        <p class={styles.label}>Result</p>
        {result.content.map((part, index) => (
          <PartView key={index} id={`${id}/${index}`} part={part} />
        ))}
      </>
    );
  if (text === "") return <p class={styles.label}>Result: empty</p>;
  if (asText && !isJson) return <Markdown text={text} />;
  return (
    <div class={classes(failed && styles.error)}>
      <Code name={failed ? "Error" : "Result"} text={withoutAnsi(text)} language={isJson ? "json" : undefined} />
    </div>
  );
}

function oneLine(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 400) : json(value).slice(0, 400);
}
