import { useState } from "preact/hooks";
import { Field } from "../ui/field";
import { changeSession, type Session, type SessionLike } from "./calls";
import { FormDialog } from "./form";

interface Props {
  session: SessionLike;
  onChanged?: (session: Session) => void;
  onClose: () => void;
}

/** Changes the title of a session. */
export function RenameDialog({ session, onChanged, onClose }: Props) {
  const [title, setTitle] = useState(session.title ?? "");
  async function rename() {
    onChanged?.(await changeSession(session.session_id, { title: title.trim() }));
  }
  return (
    <FormDialog title="Rename the session" verb="Rename" onSubmit={rename} onClose={onClose}>
      <Field label="Title" hint="An empty one removes the title.">
        <input value={title} maxLength={255} dir="auto" onInput={(event) => setTitle(event.currentTarget.value)} />
      </Field>
    </FormDialog>
  );
}
