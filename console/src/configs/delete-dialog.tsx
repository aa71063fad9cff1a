import { ConflictError } from "amplifier-client/errors";
import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { ConfirmDialog } from "../ui/confirm";
import { useResource } from "../ui/resource";
import { notify } from "../ui/toast";
import { type Config, countSessions, deleteConfig } from "./calls";
import { dropDraft } from "./draft";

/** Deletes a config after saying what goes with it. Sessions of others go only when that is confirmed, too. */
export function DeleteDialog({ config, onClose }: { config: Config; onClose: () => void }) {
  const [shared, setShared] = useState(false);
  const [, go] = useLocation();
  const sessions = useResource((signal) => countSessions(config.config_id, signal), [config.config_id]);
  async function remove() {
    try {
      const { deleted_sessions } = await deleteConfig(config.config_id, shared);
      dropDraft(config.config_id);
      go("/configs");
      notify(`Deleted “${config.name}” with ${counted(deleted_sessions)}`);
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      setShared(true);
      throw new Error("Other people take part in these sessions, and lose them, too.");
    }
  }
  return (
    <ConfirmDialog
      title="Delete the config?"
      verb={shared ? "Delete also for others" : "Delete"}
      danger
      onConfirm={remove}
      onClose={onClose}
    >
      <p>
        <bdi>{config.name}</bdi>, all its versions
        {sessions.data ? ` and ${counted(sessions.data)}, with everything said in it,` : ""} are deleted for good.
      </p>
    </ConfirmDialog>
  );
}

function counted(sessions: number): string {
  return sessions === 0 ? "no session" : sessions === 1 ? "one session" : `${sessions} sessions`;
}
