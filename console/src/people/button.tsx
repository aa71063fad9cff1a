import { useState } from "preact/hooks";
import type { Schemas } from "../api/client";
import { Button } from "../ui/button";
import { Avatar } from "../ui/person";
import { useResource } from "../ui/resource";
import { peopleOf } from "./calls";
import { changesOf } from "./changes";
import { PeopleDialog } from "./dialog";
import styles from "./people.module.css";

const SHOWN = 3;

/** Says how many people take part, and opens the dialog about them. */
export function PeopleButton({ session }: { session: Schemas["Session"] | null }) {
  return session && <Loaded session={session} />;
}

function Loaded({ session }: { session: Schemas["Session"] }) {
  const [open, setOpen] = useState(false);
  const [pages, setPages] = useState(1);
  const id = session.session_id;
  const people = useResource((signal) => peopleOf(id, pages, signal), [id, pages, changesOf.value[id], session.role]);
  const items = people.data?.items ?? [];
  const count = `${items.length}${people.data?.next ? "+" : ""}`;
  return (
    <>
      <Button aria-haspopup="dialog" class={styles.button} onClick={() => setOpen(true)}>
        <span class={styles.discs} aria-hidden="true">
          {items.slice(0, SHOWN).map(({ user_id }) => (
            <Avatar key={user_id} userId={user_id} />
          ))}
        </span>
        People {people.data && <span>({count})</span>}
      </Button>
      {open && (
        <PeopleDialog
          session={session}
          people={people}
          more={() => setPages(pages + 1)}
          onClose={() => setOpen(false)}
        />
      )}
    </>
  );
}
