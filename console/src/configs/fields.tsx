/** Fields of the form, each bound to a path of the config. */

import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import type { Draft, Within } from "./draft";
import { parse, type Path, shown } from "./json";
import { isEncrypted, isReference } from "./secrets";
import styles from "./configs.module.css";

interface Props {
  draft: Draft;
  path: Path;
  label: string;
  hint?: string;
  within?: Within;
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const STRUCTURED = "This is no text: change it in the JSON.";

/** A text; an empty one is taken out of the config. `lines` makes it a larger field, `list` proposes values. */
export function TextAt({ draft, path, label, hint, within, lines, list }: Props & { lines?: number; list?: string }) {
  const value = shown(draft.at(path));
  const props = {
    value: value ?? "",
    disabled: value === null,
    dir: "auto" as const,
    onInput: ({ currentTarget }: { currentTarget: { value: string } }) =>
      draft.put(path, currentTarget.value || undefined, within),
  };
  return (
    <Field label={label} hint={value === null ? STRUCTURED : hint} error={draft.problemAt(path)}>
      {lines ? <textarea rows={lines} {...props} /> : <input list={list} autoComplete="off" {...props} />}
    </Field>
  );
}

/** A number. What is typed stays until the field is left, and counts when it is a number. */
export function NumberAt({ draft, path, label, hint, within }: Props) {
  const [typed, setTyped] = useState<string | null>(null);
  const value = shown(draft.at(path));
  const text = typed ?? value ?? "";
  function type(text: string) {
    setTyped(text);
    if (text === "") draft.put(path, undefined);
    else if (NUMBER.test(text)) draft.put(path, parse(text), within);
  }
  const error = typed && !NUMBER.test(typed) ? "Enter a number, such as 0.5" : draft.problemAt(path);
  return (
    <Field label={label} hint={value === null ? STRUCTURED : hint} error={error}>
      <input
        inputMode="decimal"
        autoComplete="off"
        value={text}
        disabled={value === null}
        onInput={(event) => type(event.currentTarget.value.trim())}
        onBlur={() => setTyped(null)}
      />
    </Field>
  );
}

/** A secret. An encrypted one is not shown, and stays unless it is replaced. */
export function SecretAt({ draft, path, label, hint }: Props) {
  const value = draft.at(path);
  if (isEncrypted(value))
    return (
      <div class={styles.secret}>
        <span class={styles.label}>{label}</span>
        <span>Stored encrypted</span>
        <Button aria-label={`Replace: ${label}`} onClick={() => draft.put(path, "")}>
          Replace
        </Button>
      </div>
    );
  const hidden = typeof value === "string" && value !== "" && !isReference(value) && !value.startsWith("$");
  return (
    <Field label={label} hint={hint} error={draft.problemAt(path)}>
      <input
        type={hidden ? "password" : "text"}
        autoComplete="off"
        spellcheck={false}
        value={shown(value) ?? ""}
        onInput={(event) => draft.put(path, event.currentTarget.value || undefined)}
      />
    </Field>
  );
}
