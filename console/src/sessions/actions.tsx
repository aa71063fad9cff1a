import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import { rightsOf } from "../people/rights";
import { Menu } from "../ui/menu";
import { notify, showError } from "../ui/toast";
import { changeSession, resumeSession, type Session, type SessionLike } from "./calls";
import { deleteLater } from "./deletion";
import { ForkDialog } from "./fork-dialog";
import { RenameDialog } from "./rename-dialog";
import { TagsDialog } from "./tags-dialog";
import { titleOf } from "./titles";

interface Props {
  session: SessionLike;
  /** Called with the session as it is after a change. */
  onChanged?: (session: Session) => void;
  /** Called when the session was deleted; by default the list is shown. */
  onDeleted?: () => void;
  /** The tabIndex of its button. */
  tabIndex?: number;
}

type Open = "rename" | "tags" | "fork";

/** A menu of what the caller may do with a session. */
export function SessionActions({ session, onChanged, onDeleted, tabIndex }: Props) {
  const [, navigate] = useLocation();
  const [open, setOpen] = useState<Open>();
  const { change, own } = rightsOf(session);
  const close = () => setOpen(undefined);
  const item = (name: string, act: () => unknown) => (
    <button type="button" onClick={act}>
      {name}
    </button>
  );
  async function set(made: Promise<Session>, done: string) {
    try {
      onChanged?.(await made);
      notify(done);
    } catch (error) {
      showError(error);
    }
  }
  function remove() {
    deleteLater(session);
    if (onDeleted) onDeleted();
    else navigate("/");
  }
  const id = session.session_id;
  const active = session.status === "active";
  return (
    <>
      <Menu name={`Actions for ${titleOf(session)}`} tabIndex={tabIndex}>
        {change && item("Rename", () => setOpen("rename"))}
        {change && item("Change tags", () => setOpen("tags"))}
        {change && active && item("Complete", () => set(changeSession(id, { status: "completed" }), "Completed"))}
        {change && !active && item("Resume", () => set(resumeSession(id), "Resumed"))}
        {item("Fork", () => setOpen("fork"))}
        {own && item("Delete", remove)}
      </Menu>
      {open === "rename" && <RenameDialog session={session} onChanged={onChanged} onClose={close} />}
      {open === "tags" && <TagsDialog session={session} onChanged={onChanged} onClose={close} />}
      {open === "fork" && <ForkDialog session={session} onClose={close} />}
    </>
  );
}
