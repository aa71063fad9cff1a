import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import styles from "./sessions.module.css";

export type Tags = Record<string, string>;

const LONGEST_KEY = 100; // characters, as the service takes them
const LONGEST_VALUE = 500;

/** Tags that are being changed. */
export interface Draft {
  tags: Tags;
  key: string;
  value: string;
}

/** Returns the tags of a draft, with the one that was typed and not added yet. */
export function tagsOfDraft({ tags, key, value }: Draft): Tags {
  return key.trim() ? { ...tags, [key.trim()]: value.trim() } : tags;
}

/** Returns the state of tags that begin as these. */
export function useTags(tags: Tags) {
  return useState<Draft>({ tags, key: "", value: "" });
}

/** Tags as chips that can be removed, with a key and a value to add. */
export function TagsField({ draft, onChange }: { draft: Draft; onChange: (draft: Draft) => void }) {
  const { tags, key, value } = draft;
  const add = () => onChange({ tags: tagsOfDraft(draft), key: "", value: "" });
  function remove(gone: string) {
    onChange({ ...draft, tags: Object.fromEntries(Object.entries(tags).filter(([one]) => one !== gone)) });
  }
  function onKeyDown(event: KeyboardEvent) {
    if (event.key !== "Enter" || !key.trim()) return;
    event.preventDefault(); // adds the tag, and sends the form only when there is none to add
    add();
  }
  return (
    <fieldset class={styles.tags}>
      <legend>Tags</legend>
      <div class={styles.chips}>
        {Object.entries(tags).map(([one, text]) => (
          <Chip key={one} name={`tag ${one}`} onRemove={() => remove(one)}>
            {one}: {text}
          </Chip>
        ))}
      </div>
      <div class={styles.pair}>
        <input
          aria-label="Key of a new tag"
          placeholder="customer"
          maxLength={LONGEST_KEY}
          value={key}
          onInput={(event) => onChange({ ...draft, key: event.currentTarget.value })}
          onKeyDown={onKeyDown}
        />
        <input
          aria-label="Value of a new tag"
          placeholder="mia"
          maxLength={LONGEST_VALUE}
          value={value}
          onInput={(event) => onChange({ ...draft, value: event.currentTarget.value })}
          onKeyDown={onKeyDown}
        />
        <Button onClick={add}>Add tag</Button>
      </div>
    </fieldset>
  );
}

/** Returns the merge patch that makes `former` tags the present ones, null if there is no difference. */
export function tagsPatch(former: Tags, present: Tags): Record<string, string | null> | null {
  const removed = Object.keys(former).filter((key) => !Object.hasOwn(present, key));
  const set = Object.entries(present).filter(([key, value]) => !Object.hasOwn(former, key) || former[key] !== value);
  if (!removed.length && !set.length) return null;
  return Object.fromEntries([...removed.map((key) => [key, null] as const), ...set]);
}
