import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { Field } from "../ui/field";
import { forkSession, type SessionLike } from "./calls";
import { ConfigSelect } from "./config-select";
import { FormDialog } from "./form";

interface Props {
  session: SessionLike;
  /** The number of the last message to copy; without it, the whole transcript is copied. */
  seq?: number;
  onClose: () => void;
}

/** Copies a session, or its beginning, into a new one of the caller's, and opens that. */
export function ForkDialog({ session, seq, onClose }: Props) {
  const [, navigate] = useLocation();
  const [title, setTitle] = useState(session.title ?? "");
  const [configId, setConfigId] = useState("");
  async function fork() {
    const config = configId ? { config_id: configId } : {};
    const upTo = seq === undefined ? {} : { up_to_seq: seq };
    const made = await forkSession(session.session_id, { title: title.trim(), ...config, ...upTo });
    navigate(`/sessions/${encodeURIComponent(made.session_id)}`);
  }
  return (
    <FormDialog title="Fork the session" verb="Fork" onSubmit={fork} onClose={onClose}>
      <p>
        {seq === undefined ? "The whole transcript" : `The transcript up to message ${seq}`} is copied into a new
        session of yours. Nobody else takes part in it.
      </p>
      <Field label="Title of the new session">
        <input value={title} maxLength={255} dir="auto" onInput={(event) => setTitle(event.currentTarget.value)} />
      </Field>
      {session.config_id !== null && (
        <ConfigSelect
          value={configId}
          onChange={setConfigId}
          none="The same config"
          hint="Choose one of yours if the session runs the config of another person."
        />
      )}
    </FormDialog>
  );
}
