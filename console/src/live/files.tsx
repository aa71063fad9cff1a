import { useRef } from "preact/hooks";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import { Icon } from "../ui/icon";
import type { Uploads } from "./uploads";
import styles from "./composer.module.css";

/** The files of the next message: each with its progress, or why it was refused. */
export function Files({ uploads }: { uploads: Uploads }) {
  const { files } = uploads;
  if (!files.value.length) return null;
  return (
    <ul class={styles.files} aria-label="Files of the message">
      {files.value.map(({ id, name, sent, attachment, error }) => (
        <li key={id}>
          <Chip name={name} onRemove={() => uploads.remove(id)}>
            <bdi>{name}</bdi> {attachment === null && error === null && `${Math.round(sent * 100)} %`}
          </Chip>
          {error && (
            <span class={styles.refused} role="alert">
              {error}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** Chooses files. They can be pasted and dropped, too. */
export function Attach({ uploads }: { uploads: Uploads }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        onChange={({ currentTarget }) => (uploads.add(currentTarget.files ?? []), (currentTarget.value = ""))}
      />
      <Button kind="quiet" aria-label="Attach files" title="Attach files" onClick={() => input.current!.click()}>
        <Icon name="attach" />
      </Button>
    </>
  );
}
