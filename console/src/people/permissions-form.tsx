import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { changePerson, type Person } from "./calls";
import { rightsOf } from "./rights";
import styles from "./people.module.css";

const PERMISSIONS = [
  ["send", "Write messages, to people and to the agent"],
  ["cancel", "Stop the agent"],
  ["invite", "Add people, up to the own role"],
  ["export", "Export the transcript, fork the session"],
] as const;

interface Props {
  sessionId: string;
  person: Person;
  onDone: () => void;
  onCancel: () => void;
}

/** The permissions of a person: each as the role says, or allowed, or refused. */
export function PermissionsForm({ sessionId, person, onDone, onCancel }: Props) {
  const [given, setGiven] = useState<Person["permissions"]>(person.permissions);
  const [error, setError] = useState<unknown>();
  const byRole = rightsOf({ role: person.role });
  async function save() {
    try {
      await changePerson(sessionId, person.user_id, { permissions: given });
      onDone();
    } catch (error) {
      setError(error);
    }
  }
  return (
    <fieldset class={styles.permissions}>
      <legend>Permissions of {person.user_id}</legend>
      {PERMISSIONS.map(([name, text]) => (
        <label key={name} class={styles.permission}>
          <span>{text}</span>
          <select
            value={String(given[name] ?? "")}
            onChange={({ currentTarget: { value } }) =>
              setGiven({ ...given, [name]: value ? value === "true" : undefined })
            }
          >
            <option value="">
              {byRole[name] ? "yes" : "no"}, as {person.role}
            </option>
            <option value="true">yes</option>
            <option value="false">no</option>
          </select>
        </label>
      ))}
      {error !== undefined && <ErrorNote error={error} />}
      <div class={styles.buttons}>
        <Button onClick={onCancel}>Cancel</Button>
        <Button kind="primary" onClick={save}>
          Save permissions
        </Button>
      </div>
    </fieldset>
  );
}
