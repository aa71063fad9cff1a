/** What narrows the search: the values of each facet with their counts, dates and tags. */

import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import type { Wanted } from "./address";
import styles from "./filters.module.css";
import { monthName, monthOf, periodOf } from "./labels";
import { counts, found, type Facets } from "./results";

const FEW = 6; // values that are shown at first

interface Value {
  value: string;
  text: string;
  count: number;
  pressed: boolean;
  /** The search with it, or without it if it is pressed. */
  toggled: Wanted;
}

interface Props {
  wanted: Wanted;
  /** Searches with other filters. */
  onChange: (wanted: Wanted) => void;
}

export function Filters({ wanted, onChange }: Props) {
  const facets = counts.value?.facets;
  return (
    <section aria-label="Filters" class={styles.filters}>
      {facets &&
        groupsOf(wanted, facets).map(({ title, values }) => <Group key={title} {...{ title, values, onChange }} />)}
      <Dates key={`${wanted.created_after} ${wanted.created_before}`} wanted={wanted} onChange={onChange} />
      <Tags wanted={wanted} onChange={onChange} />
    </section>
  );
}

/** Returns the facets that have a value, with what each button does. */
function groupsOf(wanted: Wanted, { role, author, tool, config, month }: Facets): { title: string; values: Value[] }[] {
  const simple = (name: "role" | "author" | "tool", values: { value: string; count: number }[]) =>
    values.map(({ value, count }) => valueOf(wanted, name, value, value, count));
  const active = monthOf(wanted);
  return [
    { title: "Role", values: simple("role", role) },
    { title: "Author", values: simple("author", author) },
    { title: "Tool", values: simple("tool", tool) },
    {
      title: "Config",
      values: config.map(({ value, name, count }) => valueOf(wanted, "config_id", value, name ?? value, count)),
    },
    {
      title: "Session",
      values: found.value.sessions.map(({ session_id, title, hits }) =>
        valueOf(wanted, "session_id", session_id, title || "Untitled session", hits ?? 0),
      ),
    },
    {
      title: "Month",
      values: month
        .toSorted((one, other) => other.value.localeCompare(one.value))
        .map(({ value, count }) => {
          const period = value === active ? { created_after: undefined, created_before: undefined } : periodOf(value);
          const toggled = { ...wanted, ...period };
          return { value, text: monthName(value), count, pressed: value === active, toggled };
        }),
    },
  ].filter(({ values }) => values.length > 0);
}

function valueOf(
  wanted: Wanted,
  name: "role" | "author" | "tool" | "config_id" | "session_id",
  value: string,
  text: string,
  count: number,
): Value {
  const pressed = wanted[name] === value;
  return { value, text, count, pressed, toggled: { ...wanted, [name]: pressed ? undefined : value } };
}

function Group({ title, values, onChange }: { title: string; values: Value[]; onChange: Props["onChange"] }) {
  const [all, setAll] = useState(false);
  const shown = all ? values : values.slice(0, FEW);
  return (
    <fieldset class={styles.group}>
      <legend>{title}</legend>
      <ul>
        {shown.map(({ value, text, count, pressed, toggled }) => (
          <li key={value}>
            <button type="button" class={styles.value} aria-pressed={pressed} onClick={() => onChange(toggled)}>
              <bdi>{text}</bdi>
              <span class={styles.count}>{count.toLocaleString()}</span>
            </button>
          </li>
        ))}
      </ul>
      {values.length > shown.length && (
        <Button kind="quiet" onClick={() => setAll(true)}>
          {`Show ${values.length - shown.length} more`}
        </Button>
      )}
    </fieldset>
  );
}

/** The days between which messages were added, as the service counts them. */
function Dates({ wanted, onChange }: Props) {
  const day = (time: string | undefined) => time?.slice(0, 10) ?? "";
  const set = (name: "created_after" | "created_before") => (event: Event) => {
    const { value } = event.currentTarget as HTMLInputElement;
    onChange({ ...wanted, [name]: value ? `${value}T00:00Z` : undefined });
  };
  return (
    <fieldset class={styles.group}>
      <legend>Days (UTC)</legend>
      <Field label="From">
        <input
          type="date"
          value={day(wanted.created_after)}
          max={day(wanted.created_before)}
          onChange={set("created_after")}
        />
      </Field>
      <Field label="Before">
        <input
          type="date"
          value={day(wanted.created_before)}
          min={day(wanted.created_after)}
          onChange={set("created_before")}
        />
      </Field>
    </fieldset>
  );
}

function Tags({ wanted, onChange }: Props) {
  const [error, setError] = useState<string>();
  function add(event: SubmitEvent) {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const tag = String(new FormData(form).get("tag")).trim();
    if (!/^[^:]+:/.test(tag)) return setError("Enter a key and a value, as team:red");
    setError(undefined);
    form.reset();
    if (!wanted.tag.includes(tag)) onChange({ ...wanted, tag: [...wanted.tag, tag] });
  }
  return (
    <form class={styles.group} onSubmit={add}>
      <Field label="Tag" {...(error ? { error } : {})}>
        <input name="tag" placeholder="key:value" maxLength={360} autocomplete="off" />
      </Field>
      <Button type="submit">Add tag</Button>
    </form>
  );
}
