/** One part of a message. */

import { Cut, sizeOf } from "./cut";
import { Fold, preview } from "./fold";
import { json } from "./json";
import { MediaView } from "./media";
import type { Media, Part, Thinking } from "./reading/parts";
import { Code } from "./text/code";
import { Markdown } from "./text/markdown";
import { LoneResult, ToolCall } from "./tool";
import styles from "./part.module.css";

const SHORT = 400; // characters of JSON that are not folded

/** A part by its kind. Calls without a row of theirs have no result. */
export function PartView({ id, part }: { id: string; part: Part }) {
  switch (part.type) {
    case "text":
      return <Said text={part.text} />;
    case "thinking":
      return <Thought id={id} part={part} />;
    case "call":
      return <ToolCall id={id} call={part} result={undefined} />;
    case "result":
      return <LoneResult id={id} result={part} />;
    case "refusal":
      return (
        <div class={styles.refusal}>
          <strong>Refused</strong>
          <Said text={part.text} />
        </div>
      );
    case "unknown":
      return <Json id={id} value={part.value} />;
    default:
      return <File id={id} media={part} />;
  }
}

function Said({ text }: { text: string }) {
  return <Cut text={text}>{(shown) => <Markdown text={shown} />}</Cut>;
}

function Thought({ id, part: { text } }: { id: string; part: Thinking }) {
  if (!text) return <p class={styles.soft}>Thinking that only its provider can read</p>;
  const summary = (
    <>
      <span class={styles.kind}>Thinking</span> <span dir="auto">{preview(text)}</span>
    </>
  );
  return (
    <Fold id={id} summary={summary}>
      {() => <Said text={text} />}
    </Fold>
  );
}

/** A value of no known format. */
export function Json({ id, value, name = "JSON" }: { id: string; value: unknown; name?: string }) {
  if (typeof value === "string") return <Said text={value} />;
  const text = json(value);
  if (text.length <= SHORT && name === "JSON") return <Code name={name} text={text} language="json" />;
  const summary = (
    <>
      <span class={styles.kind}>{name}</span> <span dir="ltr">{preview(text)}</span> ({sizeOf(text.length)})
    </>
  );
  return (
    <Fold id={id} summary={summary}>
      {() => <Code name={name} text={text} language="json" />}
    </Fold>
  );
}

function File({ id, media }: { id: string; media: Media }) {
  const { type, text, name } = media;
  if (type === "audio" && text)
    return (
      <>
        {(media.url || media.data) && <MediaView media={media} />}
        <Said text={text} />
      </>
    );
  if (!text) return <MediaView media={media} />;
  const summary = (
    <>
      <span class={styles.kind}>File</span> <bdi>{name ?? media.media_type ?? "document"}</bdi> ({sizeOf(text.length)})
    </>
  );
  return (
    <Fold id={id} summary={summary}>
      {() => <Code name={name ?? "File"} text={text} />}
    </Fold>
  );
}
