import { useState } from "preact/hooks";
import { changeSession, type Session, type SessionLike, tagsOf } from "./calls";
import { FormDialog } from "./form";
import { TagsField, tagsOfDraft, tagsPatch, useTags } from "./tags-field";

interface Props {
  session: SessionLike;
  onChanged?: (session: Session) => void;
  onClose: () => void;
}

/** Adds and removes tags. Only the difference is sent, so that others may change other tags meanwhile. */
export function TagsDialog({ session, onChanged, onClose }: Props) {
  const [former] = useState(() => tagsOf(session));
  const [draft, setDraft] = useTags(former);
  async function save() {
    const patch = tagsPatch(former, tagsOfDraft(draft));
    if (patch) onChanged?.(await changeSession(session.session_id, { tags: patch }));
  }
  return (
    <FormDialog title="Change tags" verb="Save" onSubmit={save} onClose={onClose}>
      <TagsField draft={draft} onChange={setDraft} />
    </FormDialog>
  );
}
