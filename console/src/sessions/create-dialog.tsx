import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { Field } from "../ui/field";
import { createSession } from "./calls";
import { ConfigSelect } from "./config-select";
import { FormDialog } from "./form";
import { TagsField, tagsOfDraft, useTags } from "./tags-field";

/** Creates a session and opens it. */
export function CreateDialog({ onClose }: { onClose: () => void }) {
  const [, navigate] = useLocation();
  const [title, setTitle] = useState("");
  const [configId, setConfigId] = useState("");
  const [draft, setDraft] = useTags({});
  async function create() {
    const named = title.trim() ? { title: title.trim() } : {};
    const configured = configId ? { config_id: configId } : {};
    const session = await createSession({ ...named, ...configured, tags: tagsOfDraft(draft) });
    navigate(`/sessions/${encodeURIComponent(session.session_id)}`);
  }
  return (
    <FormDialog title="Create a session" verb="Create" onSubmit={create} onClose={onClose}>
      <Field label="Title" hint="May be left out, and changed later.">
        <input value={title} maxLength={255} onInput={(event) => setTitle(event.currentTarget.value)} />
      </Field>
      <ConfigSelect
        value={configId}
        onChange={setConfigId}
        none="No config: people only"
        hint="Says which agent answers. A session without one only records."
      />
      <TagsField draft={draft} onChange={setDraft} />
    </FormDialog>
  );
}
