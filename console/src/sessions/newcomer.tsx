import { useLocation } from "wouter-preact";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import styles from "./list.module.css";
import { createConfig, createSession, listConfigs } from "./calls";

const ECHO = "Echo agent";

/** The list of somebody who has no session yet. */
export function Newcomer({ onCreate }: { onCreate: () => void }) {
  const [, navigate] = useLocation();
  async function tryEcho() {
    const { configs } = await listConfigs(ECHO, new AbortController().signal);
    const known = configs.find((one) => one.name === ECHO);
    const config_data = { bundle: { name: "echo" }, providers: [{ module: "provider-echo" }] };
    const description = "Repeats what it hears. It needs no key.";
    const config = known ?? (await createConfig({ name: ECHO, description, config_data }));
    const session = await createSession({ config_id: config.config_id, title: "A talk with the echo agent" });
    navigate(`/sessions/${encodeURIComponent(session.session_id)}`);
  }
  return (
    <Empty title="There are no sessions yet">
      <p>
        A session is a conversation that stays: people and an agent take part in it, others may join, and everything in
        it is found again by search.
      </p>
      <p class={styles.choices}>
        <Button kind="primary" onClick={onCreate}>
          Create a session
        </Button>
        <Button onClick={tryEcho}>Try the echo agent</Button>
      </p>
    </Empty>
  );
}
