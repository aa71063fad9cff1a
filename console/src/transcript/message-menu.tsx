/** What can be done with one message. */

import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";
import { answer, api } from "../api/client";
import { BASE } from "../base";
import { ForkDialog } from "../sessions/fork-dialog";
import { me } from "../shell/me";
import { ConfirmDialog } from "../ui/confirm";
import { copy } from "../ui/copy-button";
import { Menu } from "../ui/menu";
import { notify, showError } from "../ui/toast";
import { json } from "./json";
import { plainText } from "./plain";
import type { Row } from "./rows";
import type { Store } from "./store";

/** The session of the page, null elsewhere. */
export const Opened = createContext<Store | null>(null);

/** The menu of a message. What the caller may not do is not in it. */
export function MessageMenu({ row }: { row: Row }) {
  const store = useContext(Opened);
  const [open, setOpen] = useState<"fork" | "retract">();
  const session = store?.session.value;
  const { entry, reading, others } = row;
  if (!store || !session || entry.seq === null) return null;
  const seq = entry.seq;
  const address = `${location.origin}${BASE}/sessions/${encodeURIComponent(store.id)}?seq=${seq}`;
  const mine = store.rights.value.send && entry.author_user_id === me.value?.user_id;
  const mayRetract = session.status === "active" && (store.rights.value.change || mine);
  const close = () => setOpen(undefined);
  const item = (name: string, act: () => unknown) => (
    <button type="button" onClick={act}>
      {name}
    </button>
  );
  const copied = (text: string, what: string) => () => copy(text, what).catch(showError);
  return (
    <>
      <Menu name={`Actions for message ${seq}`}>
        {item("Copy link", copied(address, "link"))}
        {item("Copy text", () => copy(plainText(reading)).catch(showError))}
        {item("Copy as JSON", () => copy(json(entry.message), "message").catch(showError))}
        {item("Fork from here", () => setOpen("fork"))}
        {mayRetract && item("Take back", () => setOpen("retract"))}
      </Menu>
      {open === "fork" && <ForkDialog session={session} seq={Math.max(seq, ...others)} onClose={close} />}
      {open === "retract" && <Retraction store={store} seqs={[seq, ...others]} onClose={close} />}
    </>
  );
}

function Retraction({ store, seqs, onClose }: { store: Store; seqs: number[]; onClose: () => void }) {
  async function retract() {
    const params = { path: { session_id: store.id } };
    await answer(api.POST("/sessions/{session_id}/transcript/retract", { params, body: { seqs, erase: false } }));
    store.forget(seqs);
    notify("Taken back");
  }
  const results = seqs.length > 1 ? " The results of its tools go with it." : "";
  return (
    <ConfirmDialog title="Take this message back?" verb="Take back" danger onConfirm={retract} onClose={onClose}>
      <p>It is gone at once from the transcript, the search and what agents read.{results} There is no undo.</p>
    </ConfirmDialog>
  );
}
