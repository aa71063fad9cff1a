/** Markdown as elements. HTML in it is shown as it was written; links and images wait for a click. */

import type { ComponentChildren, JSX } from "preact";
import { memo } from "preact/compat";
import { ExternalLink } from "../../ui/external-link";
import { Picture } from "../media";
import { Code } from "./code";
import { resolved } from "./entities";
import type { Token } from "./lexer";
import { useTokens } from "./tokens";
import styles from "./markdown.module.css";

const DEEPEST = 20; // tokens within tokens; what is deeper is shown as it was written

/** The levels of headings that are open, so that none is skipped: screen readers list them. */
interface Place {
  depth: number;
  levels: number[];
}

/** A text in Markdown. */
export const Markdown = memo(function Markdown({ text }: { text: string }) {
  const { tokens, rest } = useTokens(text);
  return (
    <div class={styles.text} dir="auto">
      {rendered(tokens, { depth: 0, levels: [] })}
      {rest && (
        <div class={styles.plain} dir="auto">
          {rest}
        </div>
      )}
    </div>
  );
});

function rendered(tokens: Token[] | undefined, place: Place): ComponentChildren {
  const inside = { ...place, depth: place.depth + 1 };
  return tokens?.map((token) => (place.depth > DEEPEST ? token.raw : element(token, inside)));
}

function element(token: Token, place: Place): ComponentChildren {
  const inner = () => rendered(token.tokens, place);
  switch (token.type) {
    case "paragraph":
      return <p dir="auto">{inner()}</p>;
    case "heading":
      return heading(token["depth"] as number, inner(), place);
    case "code":
      return <Code text={token["text"] as string} language={language(token["lang"])} />;
    case "blockquote":
      return <blockquote dir="auto">{inner()}</blockquote>;
    case "list":
      return list(token, place);
    case "table":
      return table(token, place);
    case "hr":
      return <hr />;
    case "strong":
      return <strong>{inner()}</strong>;
    case "em":
      return <em>{inner()}</em>;
    case "del":
      return <del>{inner()}</del>;
    case "codespan":
      return <code>{token["text"]}</code>;
    case "br":
      return <br />;
    case "link":
      return <ExternalLink address={address(token)}>{inner()}</ExternalLink>;
    case "image":
      return <Picture address={address(token)} name={resolved(token["text"] as string)} />;
    case "checkbox":
      return <span class={styles.box}>{token["checked"] ? "☑ " : "☐ "}</span>;
    case "html":
      return /^<br\s*\/?>$/i.test(token.raw) ? <br /> : <span class={styles.plain}>{token.raw}</span>;
    case "escape":
      return token["text"] as string;
    case "space":
      return null;
    case "text":
      return token.tokens ? inner() : resolved(token["text"] as string);
    default:
      return <span class={styles.plain}>{token.raw}</span>; // also definitions of links: nothing is hidden
  }
}

function heading(depth: number, inner: ComponentChildren, { levels }: Place): ComponentChildren {
  while (levels.length && levels.at(-1)! >= depth) levels.pop();
  levels.push(depth);
  const Heading = `h${Math.min(6, levels.length + 2)}` as "h3";
  return (
    <Heading dir="auto" class={styles[`heading${Math.min(depth, 4)}`]}>
      {inner}
    </Heading>
  );
}

function list(token: Token, place: Place): ComponentChildren {
  const items = (token["items"] as Token[]).map((item) => <li dir="auto">{rendered(item.tokens, place)}</li>);
  const start = Number(token["start"]);
  return token["ordered"] ? <ol start={start || undefined}>{items}</ol> : <ul>{items}</ul>;
}

interface Cell {
  tokens: Token[];
  align: "left" | "center" | "right" | null;
}

function table(token: Token, place: Place): ComponentChildren {
  const { header, rows } = token as unknown as { header: Cell[]; rows: Cell[][] };
  const cells = (row: Cell[], Name: "th" | "td"): JSX.Element[] =>
    row.map(({ tokens, align }) => (
      <Name dir="auto" class={align ? styles[align] : undefined}>
        {rendered(tokens, place)}
      </Name>
    ));
  return (
    <div class={styles.wide} tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>{cells(header, "th")}</tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr>{cells(row, "td")}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function address(token: Token): string {
  const href = String(token["href"]);
  return token["autolink"] ? href : resolved(href);
}

function language(given: unknown): string | undefined {
  return typeof given === "string"
    ? given
        .trim()
        .split(/[\s{,:]/, 1)[0]!
        .toLowerCase() || undefined
    : undefined;
}
