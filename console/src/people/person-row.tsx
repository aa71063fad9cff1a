import { useState } from "preact/hooks";
import { ErrorNote } from "../ui/error-note";
import { Menu } from "../ui/menu";
import { Avatar } from "../ui/person";
import { changePerson, type Person } from "./calls";
import { PermissionsForm } from "./permissions-form";
import { type Role, rightsOf } from "./rights";
import styles from "./people.module.css";

const ROLES: Role[] = ["owner", "editor", "viewer"];

interface Props {
  sessionId: string;
  person: Person;
  own: Person;
  /** Whether the session is this person's: its agent works with their config. */
  isOwner: boolean;
  /** Whether the caller is the only owner, who may not leave or step down. */
  isLastOwner: boolean;
  onChanged: () => void;
  /** Asks before the person is removed, gets the session, or leaves. */
  onAsk: (act: "remove" | "hand-over" | "leave") => void;
}

/** One participant: role, permissions, and what the caller may change about them. */
export function PersonRow({ sessionId, person, own, isOwner, isLastOwner, onChanged, onAsk }: Props) {
  const [edits, setEdits] = useState(false);
  const [error, setError] = useState<unknown>();
  const isSelf = person.user_id === own.user_id;
  const mayChange = rightsOf(own).own;
  async function change(role: Role) {
    setError(undefined);
    await changePerson(sessionId, person.user_id, { role }).catch(setError);
    onChanged();
  }
  return (
    <li class={styles.person} data-user={person.user_id}>
      <Avatar userId={person.user_id} />
      <span class={styles.who}>
        <span class={styles.name} dir="auto">
          {person.user_id}
        </span>
        {isSelf && <span class={styles.soft}> (you)</span>}
        <Overrides person={person} />
      </span>
      {mayChange && !(isSelf && isLastOwner) ? (
        <select
          aria-label={`Role of ${person.user_id}`}
          value={person.role}
          onChange={(event) => change(event.currentTarget.value as Role)}
        >
          {ROLES.map((role) => (
            <option key={role}>{role}</option>
          ))}
        </select>
      ) : (
        <span class={styles.soft}>{person.role}</span>
      )}
      <Actions {...{ person, isSelf, mayChange, isOwner, isLastOwner, onAsk }} onEdit={() => setEdits(!edits)} />
      {error !== undefined && <ErrorNote error={error} />}
      {edits && (
        <PermissionsForm
          sessionId={sessionId}
          person={person}
          onDone={() => (setEdits(false), onChanged())}
          onCancel={() => setEdits(false)}
        />
      )}
    </li>
  );
}

/** Says where the permissions of a person differ from those of the role. */
function Overrides({ person }: { person: Person }) {
  const texts = { send: "write", cancel: "stop the agent", invite: "invite", export: "export" };
  const said = Object.entries(texts).flatMap(([name, text]) => {
    const may = person.permissions[name as keyof typeof texts];
    return may === undefined ? [] : [`${may ? "may" : "may not"} ${text}`];
  });
  return said.length > 0 ? <span class={styles.overrides}>{said.join(", ")}</span> : null;
}

interface ActionsProps extends Pick<Props, "person" | "isOwner" | "isLastOwner" | "onAsk"> {
  isSelf: boolean;
  mayChange: boolean;
  onEdit: () => void;
}

function Actions({ person, isSelf, mayChange, isOwner, isLastOwner, onAsk, onEdit }: ActionsProps) {
  const mayLeave = isSelf && !isLastOwner;
  if (!mayLeave && (isSelf || !mayChange)) return <span class={styles.noMenu} />;
  const mayHandOver = mayChange && !isSelf && !isOwner;
  return (
    <Menu name={`Actions for ${person.user_id}`}>
      {mayChange && !isSelf && (
        <button type="button" onClick={onEdit}>
          Change permissions
        </button>
      )}
      {mayHandOver && (
        <button type="button" onClick={() => onAsk("hand-over")}>
          Hand the session over
        </button>
      )}
      {mayChange && !isSelf && (
        <button type="button" onClick={() => onAsk("remove")}>
          Remove
        </button>
      )}
      {mayLeave && (
        <button type="button" onClick={() => onAsk("leave")}>
          Leave the session
        </button>
      )}
    </Menu>
  );
}
