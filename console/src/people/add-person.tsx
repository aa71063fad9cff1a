import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { addPerson, type Person } from "./calls";
import { RoleSelect } from "./role-select";
import { type Role, rolesToGive } from "./rights";
import styles from "./people.module.css";

/** Adds a person whose user id is known. */
export function AddPerson({ sessionId, own, onAdded }: { sessionId: string; own: Person; onAdded: () => void }) {
  const [userId, setUserId] = useState("");
  const [role, setRole] = useState<Role>(own.role === "viewer" ? "viewer" : "editor");
  const [error, setError] = useState<unknown>();
  async function add(event: Event) {
    event.preventDefault();
    setError(undefined);
    try {
      await addPerson(sessionId, userId.trim(), role);
      setUserId("");
      onAdded();
    } catch (error) {
      setError(error);
    }
  }
  return (
    <form class={styles.section} onSubmit={add}>
      <h3>Add a person</h3>
      <div class={styles.row}>
        <label class={styles.grow}>
          User id
          <input
            required
            maxLength={255}
            autoComplete="off"
            value={userId}
            onInput={(event) => setUserId(event.currentTarget.value)}
          />
        </label>
        <RoleSelect label="Role" roles={rolesToGive(own)} value={role} onChange={setRole} />
        <Button type="submit" kind="primary">
          Add
        </Button>
      </div>
      {error !== undefined && <ErrorNote error={error} />}
    </form>
  );
}
