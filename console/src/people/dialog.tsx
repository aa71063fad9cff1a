import { useState } from "preact/hooks";
import { useLocation } from "wouter-preact";
import type { Schemas } from "../api/client";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import type { Resource } from "../ui/resource";
import { notify } from "../ui/toast";
import { AddPerson } from "./add-person";
import { handOver, type People, removePerson } from "./calls";
import { Invitations } from "./invitations";
import { PersonRow } from "./person-row";
import { rightsOf } from "./rights";
import styles from "./people.module.css";

interface Props {
  session: Schemas["Session"];
  people: Resource<People>;
  /** Loads one more page of people. */
  more: () => void;
  onClose: () => void;
}

/** The people of a session and its invitations, with what the caller may change about them. */
export function PeopleDialog({ session, people, more, onClose }: Props) {
  const { data, error, reload } = people;
  return (
    <Dialog title="People" onClose={onClose}>
      {error !== undefined && <ErrorNote error={error} retry={reload} />}
      {!data && !error && <Loading />}
      {data && (
        <>
          <List session={session} people={data} reload={reload} onClose={onClose} />
          {data.next && <Button onClick={more}>Show more people</Button>}
          {rightsOf(data.own).invite && <AddPerson sessionId={session.session_id} own={data.own} onAdded={reload} />}
          {rightsOf(data.own).invite && <Invitations sessionId={session.session_id} own={data.own} />}
        </>
      )}
    </Dialog>
  );
}

interface ListProps {
  session: Schemas["Session"];
  people: People;
  reload: () => void;
  onClose: () => void;
}

function List({ session, people, reload, onClose }: ListProps) {
  const [asked, setAsked] = useState<{ act: "remove" | "hand-over" | "leave"; userId: string } | null>(null);
  const [, go] = useLocation();
  const { own, items, next } = people;
  const id = session.session_id;
  const isLastOwner = own.role === "owner" && !next && items.filter(({ role }) => role === "owner").length === 1;
  const others = items.filter(({ user_id }) => user_id !== own.user_id);
  async function act() {
    const { act, userId } = asked!;
    if (act === "hand-over") await handOver(id, userId);
    else await removePerson(id, act === "leave" ? "me" : userId);
    if (act !== "leave") return reload();
    onClose();
    go("/");
    notify("You left the session");
  }
  return (
    <>
      <ul class={styles.people} aria-label="Participants">
        {[own, ...others].map((person) => (
          <PersonRow
            key={person.user_id}
            sessionId={id}
            person={person}
            own={own}
            isOwner={person.user_id === session.owner_user_id}
            isLastOwner={isLastOwner}
            onChanged={reload}
            onAsk={(act) => setAsked({ act, userId: person.user_id })}
          />
        ))}
      </ul>
      {isLastOwner && others.length > 0 && (
        <p class={styles.hint}>You are the only owner: make somebody else one before you leave.</p>
      )}
      {asked && <Question {...asked} onConfirm={act} onClose={() => setAsked(null)} />}
    </>
  );
}

const QUESTIONS = {
  remove: {
    title: "Remove from the session?",
    verb: "Remove",
    text: (userId: string) => `${userId} cannot read or write in this session any more. What was said stays.`,
  },
  "hand-over": {
    title: "Hand the session over?",
    verb: "Hand over",
    text: (userId: string) =>
      `${userId} becomes the owner, and you stay as editor. The agent runs with a copy of its config as it is now.`,
  },
  leave: {
    title: "Leave the session?",
    verb: "Leave",
    text: () => "You cannot read or write in it until somebody adds you again.",
  },
};

function Question(props: {
  act: keyof typeof QUESTIONS;
  userId: string;
  onConfirm: () => Promise<void>;
  onClose: () => void;
}) {
  const { title, verb, text } = QUESTIONS[props.act];
  return (
    <ConfirmDialog title={title} verb={verb} danger onConfirm={props.onConfirm} onClose={props.onClose}>
      {text(props.userId)}
    </ConfirmDialog>
  );
}
